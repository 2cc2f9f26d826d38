//! A look at the cluster before anything is read, for `check --connect`.
//!
//! Owns the questions: are brokers there, do they take us for who we are, are the topics there, may the group be read.
//! Must not change anything: it joins no group, and commits and creates nothing.

use std::time::{Duration, Instant};

use model::fault::{Fault, FaultKind};
use model::kafka::{Troubles, fault};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList, config::RDKafkaLogLevel};
use std::sync::{Mutex, PoisonError};

use super::config::{Settings, refusal};

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How many brokers the cluster has.
    pub brokers: usize,
    /// The topics with their number of partitions. Those given as a regular expression are not looked up.
    pub topics: Vec<(String, usize)>,
    /// In how many of these partitions the group has a position.
    pub positions: usize,
}

struct Context(Mutex<(Troubles, Option<Fault>)>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        super::client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (troubles, last) = &mut *guard;
        if let Some(fault) = troubles.note(code as i32, reason) {
            *last = Some(fault);
        }
    }
}

impl ConsumerContext for Context {}

/// Asks the cluster, for at most about `patience`.
///
/// # Errors
///
/// What stands in the way of reading, the first that is met.
pub async fn probe(settings: &Settings, patience: Duration) -> Result<Found, Fault> {
    let settings = settings.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&settings, patience)).await;
    asked
        .unwrap_or_else(|error| Err(Fault::new(FaultKind::Unusable, format!("the probe ended: {error}"), "")))
}

fn ask(settings: &Settings, patience: Duration) -> Result<Found, Fault> {
    let deadline = Instant::now() + patience;
    let context = Context(Mutex::new((Troubles::new(settings.about.clone()), None)));
    let client: BaseConsumer<Context> = settings.client.create_with_context(context).map_err(|error| {
        let remedy = "check `ca_file`, `certificate_file` and `key_file`, and the table `librdkafka`";
        Fault::new(FaultKind::Unusable, refusal(&error), remedy)
    })?;
    let probe = Probe { client, settings, deadline };
    let mut found = Found { brokers: 0, topics: Vec::new(), positions: 0 };
    let mut partitions = TopicPartitionList::new();
    for name in &settings.topics {
        let expression = name.starts_with('^');
        let asked = Some(name.as_str()).filter(|_| !expression);
        let metadata = probe.until(|client, wait| client.fetch_metadata(asked, wait))?;
        found.brokers = metadata.brokers().len();
        if expression {
            continue;
        }
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        if let Some(error) = topic.and_then(|topic| topic.error()) {
            return Err(probe.fault(RDKafkaErrorCode::from(error)));
        }
        let numbers: Vec<i32> =
            topic.into_iter().flat_map(|topic| topic.partitions().iter().map(|one| one.id())).collect();
        if numbers.is_empty() {
            return Err(probe.fault(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        for number in &numbers {
            partitions.add_partition(name, *number);
        }
        found.topics.push((name.clone(), numbers.len()));
    }
    if partitions.count() > 0 {
        let committed = probe.until(|client, wait| client.committed_offsets(partitions.clone(), wait))?;
        for element in committed.elements() {
            if let Err(KafkaError::OffsetFetch(code)) = element.error() {
                return Err(probe.fault(code));
            }
            found.positions += usize::from(matches!(element.offset(), Offset::Offset(_)));
        }
    }
    Ok(found)
}

struct Probe<'s> {
    client: BaseConsumer<Context>,
    settings: &'s Settings,
    deadline: Instant,
}

impl Probe<'_> {
    /// Asks until there is an answer, a cause why there will be none, or no time left.
    fn until<T>(
        &self,
        mut question: impl FnMut(&BaseConsumer<Context>, Duration) -> KafkaResult<T>,
    ) -> Result<T, Fault> {
        loop {
            let wait = Duration::from_millis(500);
            let error = match question(&self.client, wait) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // Causes are told while polling.
            while self.client.poll(Duration::from_millis(10)).is_some() {}
            let reported = self.client.context().0.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::OperationTimedOut);
            let passing = fault(code as i32, &"", &self.settings.about).kind == FaultKind::Unreachable;
            match reported {
                Some(fault) if fault.kind != FaultKind::Unreachable => return Err(fault),
                _ if !passing => return Err(self.fault(code)),
                Some(fault) if Instant::now() >= self.deadline => return Err(fault),
                None if Instant::now() >= self.deadline => return Err(self.fault(code)),
                _ => {}
            }
        }
    }

    fn fault(&self, code: RDKafkaErrorCode) -> Fault {
        let guard = self.client.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.explain(code as i32, &code)
    }
}
