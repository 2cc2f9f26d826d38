//! Kafka to Kafka in transactions: the two ends, as the pipeline wants them.
//!
//! Owns nothing but the names: source and sink know nothing of each other, and the pipeline knows nothing of Kafka.

use ingest::kafka::{KafkaSource, TransactionOffsets};
use ingest::{Batch, Mark, Source};
use model::fault::Fault;
use output::kafka::{Transaction, TransactionalSink};
use output::{Outcome, Request};

/// A Kafka source whose positions are part of transactions.
pub(super) struct From(pub(super) KafkaSource);

impl Source for From {
    async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        self.0.next().await
    }

    async fn commit(&mut self, marks: &[Mark]) -> Result<(), Fault> {
        self.0.commit(marks).await
    }

    fn stop_intake(&mut self) {
        self.0.stop_intake();
    }

    async fn close(self) {
        self.0.close().await;
    }
}

impl pipeline::TransactionalSource for From {
    type Positions = TransactionOffsets;

    fn holds(&self, mark: Mark) -> bool {
        self.0.holds(mark)
    }

    fn positions(&mut self, marks: &[Mark]) -> Option<TransactionOffsets> {
        self.0.transaction_offsets(marks)
    }

    fn committed(&mut self, marks: &[Mark]) {
        self.0.transaction_committed(marks);
    }
}

/// A Kafka sink that writes in transactions.
pub(super) struct To(pub(super) TransactionalSink);

impl pipeline::TransactionalSink<TransactionOffsets> for To {
    type Open<'s> = Open<'s>;

    async fn begin(&mut self) -> Result<Open<'_>, Fault> {
        self.0.begin().await.map(Open)
    }

    async fn close(self) -> Result<(), Fault> {
        self.0.close().await
    }
}

/// An open transaction.
pub(super) struct Open<'s>(Transaction<'s>);

impl pipeline::Transaction<TransactionOffsets> for Open<'_> {
    async fn write(&mut self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        self.0.write(request).await
    }

    async fn commit(self, (offsets, group): TransactionOffsets) -> Result<(), Fault> {
        self.0.commit(offsets, group).await
    }

    async fn abort(self) -> Result<(), Fault> {
        self.0.abort().await
    }
}
