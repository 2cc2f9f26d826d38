//! Real servers for the live tests: where they are, how they are asked, and what a bare one lacks.
//!
//! `ELASTICSEARCH_URL` and `OPENSEARCH_URL` name them (`tests/live/*.sh` start them); a test without its server says that it was
//! skipped.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::{Method, transport::Transport};
use output::assets::{Assets, Flavour};
use serde_json::{Value, json};

/// A real server.
pub(crate) struct Live {
    pub(crate) transport: Transport,
    pub(crate) url: String,
    pub(crate) flavour: Flavour,
}

/// The server of a variable, if there is one.
pub(crate) fn live(variable: &str, flavour: Flavour) -> Option<Live> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    match &url {
        Some(url) => eprintln!("live: {flavour} at {url}"),
        None => eprintln!("skipped: {variable} is not set"),
    }
    url.map(|url| Live { transport: Transport::single_node(&url).unwrap(), url, flavour })
}

impl Live {
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<String>) -> (u16, Value) {
        let mut headers = HeaderMap::new();
        if path.ends_with("_bulk") {
            headers.insert("content-type", "application/x-ndjson".parse().unwrap());
        }
        let response = self.transport.send(method, path, headers, None::<&()>, body, None).await.unwrap();
        let status = response.status_code().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) {
        let (status, answer) = self.call(Method::Put, path, Some(body.to_string())).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }

    /// How many documents a query finds.
    pub(crate) async fn count(&self, stream: &str, query: Value) -> u64 {
        let (status, answer) = self
            .call(Method::Post, &format!("/{stream}/_count"), Some(json!({"query": query}).to_string()))
            .await;
        assert_eq!(status, 200, "{query}: {answer}");
        answer["count"].as_u64().unwrap()
    }

    /// Indexes documents under these ids; gives back what was refused.
    pub(crate) async fn index(&self, stream: &str, documents: &[(String, String)]) -> Vec<(String, Value)> {
        let mut refused = Vec::new();
        for some in documents.chunks(500) {
            let mut body = String::new();
            for (id, document) in some {
                body.push_str(&format!("{{\"create\":{{\"_id\":{}}}}}\n{document}\n", json!(id)));
            }
            let (status, answer) = self.call(Method::Post, &format!("/{stream}/_bulk"), Some(body)).await;
            assert_eq!(status, 200, "{answer}");
            for item in answer["items"].as_array().unwrap() {
                if item["create"]["status"] != 201 {
                    let id = item["create"]["_id"].as_str().unwrap().to_owned();
                    refused.push((id, item["create"]["error"].clone()));
                }
            }
        }
        let (status, answer) = self.call(Method::Post, &format!("/{stream}/_refresh"), None).await;
        assert_eq!(status, 200, "{answer}");
        refused
    }

    /// The fields of the one backing index.
    pub(crate) async fn fields(&self, stream: &str) -> Value {
        let (_, answer) = self.call(Method::Get, &format!("/{stream}/_mapping"), None).await;
        let indices = answer.as_object().unwrap();
        assert_eq!(indices.len(), 1, "{answer}");
        indices.values().next().unwrap()["mappings"].clone()
    }

    /// Whether the server has an index type.
    pub(crate) async fn has_type(&self, index: &str) -> bool {
        let mut field = json!({"type": index});
        if index == "constant_keyword" {
            field["value"] = json!("x");
        }
        let body = json!({"mappings": {"properties": {"x": field}}}).to_string();
        let name = format!("probe-{}-{}", index.replace('_', "-"), run_id());
        let (status, _) = self.call(Method::Put, &format!("/{name}"), Some(body)).await;
        if status == 200 {
            self.call(Method::Delete, &format!("/{name}"), None).await;
        }
        status == 200
    }
}

/// Another one in each run, so that a server can be used again.
pub(crate) fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{:x}{:x}", std::process::id(), now.as_micros())
}

/// Replaces types that a bare server lacks.
pub(crate) async fn reduce(live: &Live, assets: &mut Assets) {
    let mut missing = BTreeMap::new();
    for (index, instead) in [
        ("constant_keyword", json!({"type": "keyword"})),
        ("match_only_text", json!({"type": "text"})),
        ("wildcard", json!({"type": "keyword", "ignore_above": 8191})),
    ] {
        if !live.has_type(index).await {
            missing.insert(index, instead);
        }
    }
    if !missing.is_empty() {
        eprintln!("reduced: {} lacks {:?}", live.flavour, missing.keys().collect::<Vec<_>>());
        for asset in &mut assets.items {
            replace(&mut asset.body, &missing);
        }
    }
}

fn replace(value: &mut Value, types: &BTreeMap<&str, Value>) {
    let instead = value.get("type").and_then(Value::as_str).and_then(|index| types.get(index));
    if let Some(instead) = instead {
        let fields = value.get("fields").cloned();
        *value = instead.clone();
        if let Some(fields) = fields {
            value["fields"] = fields;
        }
    }
    for inner in value.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        replace(inner, types);
    }
}
