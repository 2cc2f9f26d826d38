//! The Elasticsearch sink: on the fake server, with and without faults, and on real ones.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use elasticsearch::http::Method;
use output::elasticsearch::{Call, Elasticsearch, ElasticsearchConfig};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::contract::{SinkBench, document};
use crate::fake_elasticsearch::{FakeElasticsearch, Trouble};
use crate::unique;

fn open(config: Value) -> Elasticsearch {
    let config: ElasticsearchConfig = serde_json::from_value(config).unwrap();
    Elasticsearch::open(&config.validate().unwrap()).unwrap()
}

pub(crate) struct Fake {
    server: FakeElasticsearch,
    /// Whether every way a request can go wrong comes at the next opening.
    faults: AtomicBool,
}

pub(crate) async fn fake(opensearch: bool, faults: bool) -> Option<Fake> {
    let server = FakeElasticsearch::start().await;
    server.state().opensearch = opensearch;
    Some(Fake { server, faults: faults.into() })
}

impl SinkBench for Fake {
    type Sink = Elasticsearch;

    async fn open(&self) -> Elasticsearch {
        if self.faults.swap(false, Ordering::Relaxed) {
            let throttled = json!({"error": {"type": "es_rejected_execution_exception", "reason": "queue"}, "status": 429});
            for trouble in [
                Trouble::ResetUnread,
                Trouble::ResetAfterActing,
                Trouble::Truncated,
                Trouble::FewerItems,
                Trouble::Text("<html>a gateway</html>"),
                Trouble::Status(429, "", throttled.to_string()),
                Trouble::Status(503, "retry-after: 0\r\n", String::new()),
                Trouble::StatusAfterActing(504),
                Trouble::StatusUnread(502),
                Trouble::Silence,
            ] {
                self.server.trouble(trouble);
            }
        }
        // The timeout is for the one answer that never comes.
        open(json!({"url": self.server.url(), "timeout": "2s", "max_bulk_documents": 10}))
    }

    async fn stored(&self, prefix: &str) -> Vec<String> {
        assert!(!self.server.state().plain_index);
        self.server.ids().into_iter().filter(|id| id.starts_with(prefix)).collect()
    }

    fn stores_once(&self) -> bool {
        true
    }

    /// With faults, a document may be there because an earlier attempt put it there.
    fn tells_duplicates(&self) -> bool {
        !self.faults.load(Ordering::Relaxed)
    }

    fn unique(&self) -> String {
        unique("fake")
    }

    fn refused(&self, id: &str) -> Option<String> {
        // Each answer is used once, and with faults a request is made several times.
        for _ in 0..20 {
            self.server.item(id, 400, "document_parsing_exception", "failed to parse field [x]");
        }
        Some(document(id))
    }
}

pub(crate) struct Live {
    url: String,
    namespace: String,
}

/// A namespace for this process, with a small template of its own.
pub(crate) async fn live(variable: &'static str) -> Option<Live> {
    static NAMESPACE: OnceCell<String> = OnceCell::const_new();
    let url = crate::live(variable)?;
    let namespace = NAMESPACE.get_or_init(|| async { unique("contract") }).await.clone();
    let live = Live { url, namespace };
    let sink = live.open().await;
    let definition = json!({
        "index_patterns": [sink.stream()], "priority": 900, "data_stream": {},
        "template": {
            "settings": {"number_of_replicas": 0},
            "mappings": {"properties": {
                "@timestamp": {"type": "date"},
                "event": {"properties": {"id": {"type": "keyword"}}},
                "number": {"type": "long"},
            }},
        },
    });
    let path = format!("_index_template/anthropic-ecs-{}", live.namespace);
    live.ask(Method::Put, &path, Some(definition)).await;
    Some(live)
}

impl Live {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let sink = self.open().await;
        let answer = sink.client().send(Call { method, body, ..Call::get(path) }).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }
}

impl SinkBench for Live {
    type Sink = Elasticsearch;

    async fn open(&self) -> Elasticsearch {
        open(json!({"url": self.url, "namespace": self.namespace}))
    }

    async fn stored(&self, prefix: &str) -> Vec<String> {
        let stream = self.open().await.stream().to_owned();
        self.ask(Method::Post, &format!("{stream}/_refresh"), None).await;
        let query = json!({"size": 10_000, "query": {"prefix": {"event.id": prefix}}});
        let found = self.ask(Method::Post, &format!("{stream}/_search"), Some(query)).await;
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
    }

    fn stores_once(&self) -> bool {
        true
    }

    fn tells_duplicates(&self) -> bool {
        true
    }

    fn unique(&self) -> String {
        unique("live")
    }

    fn refused(&self, id: &str) -> Option<String> {
        Some(document(id).replacen('{', "{\"number\":{\"a\":1},", 1))
    }
}
