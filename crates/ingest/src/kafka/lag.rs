//! How far the group is behind on the partitions that are ours.
//!
//! Owns what librdkafka's statistics say of the ends of partitions. Must not know how positions are committed; it is only told.
//!
//! The subtle thing: the end of a partition is what the last answer to a fetch said. While a full queue holds up fetching
//! it stands still, so that the lag is then at least what is shown.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::offsets::Partition;
use super::shared::Shared;

/// How far the group is behind on one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// How many messages there are behind the committed position.
    pub messages: u64,
}

/// A look at the lag from outside.
#[derive(Debug, Clone)]
pub struct Lags(pub(super) Arc<Shared>);

impl Lags {
    /// The partitions that are ours and whose lag is known, in order.
    #[must_use]
    pub fn get(&self) -> Vec<PartitionLag> {
        let inner = self.0.lock();
        let lag = |(partition, committed): (&Partition, Option<i64>)| {
            let known = inner.ends.get(partition)?;
            let committed = committed.into_iter().chain(known.committed).max()?;
            let messages = u64::try_from(known.end - committed).unwrap_or_default();
            Some(PartitionLag { topic: Arc::clone(&partition.topic), partition: partition.number, messages })
        };
        let mut lags: Vec<PartitionLag> = inner.lanes.partitions().filter_map(lag).collect();
        lags.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        lags
    }
}

/// What is known of a partition's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// The offset of the message to come.
    pub(crate) end: i64,
    /// What the group had committed, where the client knows it.
    pub(crate) committed: Option<i64>,
}

/// Reads librdkafka's statistics; nothing if they are not what they used to be.
pub(crate) fn ends(statistics: &[u8]) -> HashMap<Partition, End> {
    #[derive(Deserialize)]
    struct Statistics {
        #[serde(default)]
        topics: HashMap<String, Topic>,
    }
    #[derive(Deserialize)]
    struct Topic {
        #[serde(default)]
        partitions: HashMap<String, Figures>,
    }
    #[derive(Deserialize)]
    struct Figures {
        partition: i32,
        hi_offset: i64,
        /// Up to where transactions are decided; below 0 where nobody asks for it.
        ls_offset: i64,
        committed_offset: i64,
    }
    let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else { return HashMap::new() };
    let mut ends = HashMap::new();
    for (topic, Topic { partitions }) in statistics.topics {
        let topic: Arc<str> = topic.into();
        for figures in partitions.into_values().filter(|figures| figures.partition >= 0) {
            let end = if figures.ls_offset >= 0 { figures.ls_offset } else { figures.hi_offset };
            if end >= 0 {
                let committed = Some(figures.committed_offset).filter(|offset| *offset >= 0);
                let partition = Partition { topic: Arc::clone(&topic), number: figures.partition };
                ends.insert(partition, End { end, committed });
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use model::kafka::About;

    use super::*;
    use crate::Mark;

    const STATISTICS: &str = r#"{"name":"c","topics":{"raw":{"topic":"raw","partitions":{
        "0":{"partition":0,"hi_offset":90,"ls_offset":80,"committed_offset":30},
        "1":{"partition":1,"hi_offset":7,"ls_offset":-1,"committed_offset":-1001},
        "2":{"partition":2,"hi_offset":-1001,"ls_offset":-1,"committed_offset":5},
        "-1":{"partition":-1,"hi_offset":5,"ls_offset":5,"committed_offset":5}}}}}"#;

    #[test]
    fn the_end_is_what_can_be_read() {
        let found = ends(STATISTICS.as_bytes());
        let partition = |number| Partition { topic: "raw".into(), number };
        assert_eq!(found.len(), 2);
        assert_eq!(found.get(&partition(0)), Some(&End { end: 80, committed: Some(30) }));
        assert_eq!(found.get(&partition(1)), Some(&End { end: 7, committed: None }));
        assert!(ends(b"{").is_empty() && ends(b"{}").is_empty());
    }

    #[test]
    fn lag_is_counted_from_what_was_committed_last_on_partitions_that_are_ours() {
        let shared = Arc::new(Shared::new(100, About::default()));
        let partition = |number| Partition { topic: "raw".into(), number };
        let lags = Lags(Arc::clone(&shared));
        let numbers = || lags.get().iter().map(|lag| (lag.partition, lag.messages)).collect::<Vec<_>>();
        shared.statistics(ends(STATISTICS.as_bytes()));
        assert_eq!(numbers(), []);
        shared.assigned([partition(0), partition(1)]);
        assert_eq!(numbers(), [(0, 50)], "nothing is known of what was committed of the other");
        let lane = shared.lock().lanes.lane(&partition(0)).unwrap();
        shared.push(lane, 41, Vec::new(), 1);
        shared.committed([Mark { lane, batch: 0 }]);
        assert_eq!(numbers(), [(0, 39)]);
        shared.give_away(&[partition(0)], std::time::Duration::ZERO);
        assert_eq!(numbers(), []);
    }
}
