//! Kafka to somewhere: fed by portions while everything is killed, stopped and started.
//!
//! Half of the records lie there before the copies start, the rest comes between the blows, so that each blow falls on work
//! under way. Copy `a` is a static member of the group, whose place waits for its return; `b` is an ordinary one, whose
//! partitions go to the others.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use output::assets::Flavour;
use simulator::Random;

use crate::copies::Copy;
use crate::index::Index;
use crate::live_server::{live, run_id};
use crate::records::{Plan, TOO_LARGE, Wanted};
use crate::say;
use crate::servers::Server;
use crate::settings::{Scratch, alone, chance, kills, records, variable};
use crate::topics::{Filler, await_transactions, create_topic, delete_topics, lag, observer, read_all};
use crate::verdict::{self, Times};

/// How long nothing may move before a campaign is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// One blow.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// A copy dies and is started again.
    Kill,
    /// A third copy joins and leaves.
    Join,
    /// The sink's server is stopped; a copy dies meanwhile.
    SinkDown,
    /// The broker is stopped; a copy dies meanwhile.
    BrokerDown,
}

/// A campaign that is under way.
struct Campaign<'c> {
    name: &'c str,
    brokers: &'c str,
    topic: String,
    group: String,
    folder: &'c Path,
    random: Random,
    /// What makes the configuration of a copy's sink and dead letters.
    sink: &'c dyn Fn(&str) -> String,
    /// The sink's server, if it is not the broker.
    server: Option<Server>,
    broker: Option<Server>,
    copies: Vec<Copy>,
}

/// What it came to.
struct Outcome {
    kills: usize,
    halts: usize,
    seconds: f64,
}

impl Campaign<'_> {
    fn configuration(&self, copy: &str) -> String {
        let (brokers, topic, group) = (self.brokers, &self.topic, &self.group);
        let member = if copy == "a" { "group_instance_id = \"a\"" } else { "" };
        let sink = (self.sink)(copy);
        format!(
            r#"
[source]
type = "kafka"
brokers = "{brokers}"
topics = "{topic}"
group = "{group}"
revoke_timeout = "1s"
{member}
[source.librdkafka]
"session.timeout.ms" = 4000
"heartbeat.interval.ms" = 500
[mapper]
max_record_bytes = {TOO_LARGE}
{sink}
"#
        )
    }

    fn copy(&self, name: &str) -> Copy {
        Copy::new(self.folder, name, &self.configuration(name))
    }

    /// What is to happen, in an order of chance.
    fn blows(&mut self, kills: usize) -> Vec<Blow> {
        let mut blows = vec![Blow::Kill; kills];
        blows.push(Blow::Join);
        if self.server.is_some() {
            blows.push(Blow::SinkDown);
        }
        if self.broker.is_some() {
            blows.push(Blow::BrokerDown);
        }
        for last in (1..blows.len()).rev() {
            blows.swap(last, self.random.index(last + 1));
        }
        blows
    }

    /// Waits a moment of chance.
    fn moment(&mut self, most: u64) {
        sleep(Duration::from_millis(self.random.below(most)));
    }

    fn kill(&mut self, after: u64) {
        let at = self.random.index(2);
        self.copies[at].kill();
        self.moment(after);
        self.copies[at].start();
    }

    /// Feeds everything, strikes, and waits until the group has committed all there is; then stops the copies.
    fn run(&mut self, plan: &Plan) -> Outcome {
        let blows = self.blows(kills(records()));
        say(format!("{}: {blows:?}", self.name));
        let (now, later) = plan.messages.split_at(plan.messages.len() / 2);
        let mut filler = Filler::new(self.brokers, &self.topic);
        filler.send(now);
        filler.finish();
        let started = Instant::now();
        self.copies = vec![self.copy("a"), self.copy("b")];
        self.copies.iter_mut().for_each(Copy::start);
        let (mut kills, mut halts) = (0, 0);
        let mut portions = later.chunks(later.len().div_ceil(blows.len()).max(1));
        for blow in blows {
            self.moment(1_500);
            let portion = portions.next().unwrap_or_default();
            match blow {
                Blow::Kill => {
                    filler.send(portion);
                    self.kill(800);
                    kills += 1;
                }
                Blow::Join => {
                    let mut third = self.copy("c");
                    third.start();
                    third.wait_for_log("partitions assigned");
                    filler.send(portion);
                    self.moment(3_000);
                    third.stop();
                    self.copies.push(third);
                }
                Blow::SinkDown => {
                    let server = self.server.take().unwrap();
                    let down = server.halt();
                    filler.send(portion);
                    self.moment(2_000);
                    self.kill(500);
                    drop(down);
                    self.server = Some(server);
                    (kills, halts) = (kills + 1, halts + 1);
                }
                Blow::BrokerDown => {
                    let broker = self.broker.take().unwrap();
                    let down = broker.halt();
                    filler.send(portion);
                    self.moment(2_000);
                    self.kill(500);
                    drop(down);
                    self.broker = Some(broker);
                    (kills, halts) = (kills + 1, halts + 1);
                }
            }
            self.copies.iter_mut().take(2).for_each(Copy::must_run);
        }
        filler.finish();
        self.settle();
        let seconds = started.elapsed().as_secs_f64();
        self.copies.iter_mut().take(2).for_each(Copy::stop);
        let group = observer(self.brokers, &self.group);
        assert_eq!(lag(&group, &self.topic).unwrap(), 0, "the lag after the stop");
        Outcome { kills, halts, seconds }
    }

    /// Waits until the group has committed everything. Gives up when nothing has moved for long.
    fn settle(&mut self) {
        let group = observer(self.brokers, &self.group);
        let mut last = (i64::MAX, Instant::now());
        loop {
            let behind = lag(&group, &self.topic);
            if matches!(behind, Ok(0)) {
                return;
            }
            if let Ok(behind) = behind
                && behind != last.0
            {
                last = (behind, Instant::now());
            }
            self.copies.iter_mut().take(2).for_each(Copy::must_run);
            let tails: Vec<_> = self.copies.iter().map(|copy| (copy.name.clone(), copy.log_tail())).collect();
            assert!(last.1.elapsed() < PATIENCE, "the lag stays at {behind:?}:\n{tails:#?}");
            sleep(Duration::from_millis(200));
        }
    }

    /// How often copies were started after the first time.
    fn restarts(&self) -> usize {
        self.copies.iter().map(|copy| copy.starts - 1).sum()
    }

    fn tell(&self, plan: &Plan, outcome: &Outcome, more: &str) {
        let Outcome { kills, halts, seconds } = outcome;
        say(format!(
            "{}: {} records ({} ids, {} bad), {kills} kills, {} restarts, {halts} servers stopped and started, {seconds:.1} s, {:.0} records/s; {more}",
            self.name,
            plan.records,
            plan.ids.len(),
            plan.dead.len(),
            self.restarts(),
            plan.records as f64 / seconds,
        ));
    }
}

fn brokers(test: &str) -> Option<String> {
    let brokers = variable("KAFKA_BROKERS");
    if brokers.is_none() {
        say(format!("{test}: skipped: no KAFKA_BROKERS"));
    }
    brokers
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn kafka_to_index(name: &str, variable: &str, flavour: Flavour, server: fn() -> Option<Server>) {
    let Some(brokers) = brokers(name) else { return };
    let Some(live) = live(variable, flavour) else { return say(format!("{name}: skipped: no {variable}")) };
    let _alone = alone();
    let (scratch, runtime, mut random) = (Scratch::new(), runtime(), chance(name));
    let mut index = Index::new(live);
    let (url, namespace) = (index.url().to_owned(), index.namespace.clone());
    let sink = |_: &str| {
        format!(
            r#"
[sink]
type = "elasticsearch"
url = "{url}"
namespace = "{namespace}"
max_bulk_documents = 500
[dead_letters]
path = "dead.ndjson"
"#
        )
    };
    let topic = format!("raw-{}", run_id());
    let wanted = Wanted { records: records(), refused: true, repeated: true, mixed: true };
    let plan = Plan::new(&mut random, wanted);
    runtime.block_on(create_topic(&brokers, &topic, &[]));
    let mut campaign = Campaign {
        name,
        brokers: &brokers,
        group: format!("group-{topic}"),
        topic,
        folder: scratch.path(),
        random,
        sink: &sink,
        server: server(),
        broker: Server::kafka(),
        copies: Vec::new(),
    };
    let any = campaign.copy("setup");
    runtime.block_on(index.set_up(&any.path("stage.toml")));
    let outcome = campaign.run(&plan);
    verdict::ids(&plan, runtime.block_on(index.ids()), Times::Once);
    let letters = campaign.copies.iter().flat_map(|copy| verdict::lines(&copy.path("dead.ndjson")));
    let repeated = verdict::dead_letters(&plan, letters);
    campaign.tell(&plan, &outcome, &format!("each id once; {repeated} dead letters repeated"));
    runtime.block_on(index.remove());
    runtime.block_on(delete_topics(&brokers, &[&campaign.topic]));
}

#[test]
fn kafka_to_elasticsearch() {
    let name = "kafka_to_elasticsearch";
    kafka_to_index(name, "ELASTICSEARCH_URL", Flavour::Elasticsearch, Server::elasticsearch);
}

#[test]
fn kafka_to_opensearch() {
    kafka_to_index("kafka_to_opensearch", "OPENSEARCH_URL", Flavour::OpenSearch, Server::opensearch);
}

fn kafka_to_kafka(name: &str, extra: &dyn Fn(&str) -> String, times: Times) {
    let Some(brokers) = brokers(name) else { return };
    let _alone = alone();
    let (scratch, runtime, mut random) = (Scratch::new(), runtime(), chance(name));
    let run = run_id();
    let (topic, ecs, dead) = (format!("raw-{run}"), format!("ecs-{run}"), format!("dead-{run}"));
    let sink = |copy: &str| {
        let extra = extra(copy);
        format!(
            r#"
[sink]
type = "kafka"
brokers = "{brokers}"
topic = "{ecs}"
compression = "none"
{extra}
[dead_letters]
type = "kafka"
brokers = "{brokers}"
topic = "{dead}"
"#
        )
    };
    let wanted = Wanted { records: records(), refused: true, repeated: false, mixed: true };
    let plan = Plan::new(&mut random, wanted);
    runtime.block_on(async {
        create_topic(&brokers, &topic, &[]).await;
        // Less than a document with such a value has, and far less than usual batches have.
        create_topic(&brokers, &ecs, &[("max.message.bytes", "40000")]).await;
        create_topic(&brokers, &dead, &[]).await;
    });
    let mut campaign = Campaign {
        name,
        brokers: &brokers,
        group: format!("group-{topic}"),
        topic,
        folder: scratch.path(),
        random,
        sink: &sink,
        server: None,
        broker: Server::kafka(),
        copies: Vec::new(),
    };
    let outcome = campaign.run(&plan);
    await_transactions(&brokers, &ecs);
    let found = read_all(&brokers, &ecs);
    let ids = found.iter().map(|read| {
        let id = verdict::event_id(&read.value);
        assert_eq!(read.key, id.as_bytes(), "keyed by something else");
        id
    });
    let doubled = verdict::ids(&plan, ids, times);
    let letters = read_all(&brokers, &dead).into_iter().map(|read| read.value);
    let repeated = verdict::dead_letters(&plan, letters);
    let more = format!("{doubled} ids more than once; {repeated} dead letters repeated");
    campaign.tell(&plan, &outcome, &more);
    runtime.block_on(delete_topics(&brokers, &[&campaign.topic, &ecs, &dead]));
}

/// Small batches, so that a message which is too large is alone in one, as it would be where topics take usual sizes.
const SMALL_BATCHES: &str = "[sink.librdkafka]\n\"batch.size\" = 20000";

#[test]
fn kafka_to_kafka_at_least_once() {
    kafka_to_kafka("kafka_to_kafka_at_least_once", &|_| SMALL_BATCHES.to_owned(), Times::AtLeastOnce);
}

/// Copy `a` takes up its own transactions after a crash; those of the others end when their time is up.
#[test]
fn kafka_to_kafka_exactly_once() {
    let run = run_id();
    let extra = |copy: &str| {
        let id = if copy == "a" { format!("transactional_id = \"a-{run}\"") } else { String::new() };
        format!(
            "exactly_once = true\n{id}\n{SMALL_BATCHES}\n\"transaction.timeout.ms\" = 6000\n\"message.timeout.ms\" = 6000"
        )
    };
    kafka_to_kafka("kafka_to_kafka_exactly_once", &extra, Times::Once);
}
