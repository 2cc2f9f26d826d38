//! The index a campaign writes to: set up, made to refuse something, and read to its end.

use std::path::Path;
use std::process::{Command, Stdio};

use elasticsearch::http::{Method, transport::Transport};
use model::tables::Tables;
use output::assets::{Api, Assets, Lifecycle, Target, apply, detect};
use serde_json::{Value, json};

use crate::live_server::{Live, reduce, run_id};
use crate::settings::program;

/// A data stream of a campaign's own.
pub(crate) struct Index {
    live: Live,
    pub(crate) namespace: String,
    stream: String,
    template: String,
}

impl Index {
    pub(crate) fn new(live: Live) -> Self {
        let namespace = run_id();
        let target = Target::new(live.flavour, Lifecycle::None, &namespace).unwrap();
        let assets = Assets::render(&Tables::builtin(), target);
        let template = assets.items.last().unwrap().name.clone();
        Self { stream: assets.data_stream(), live, namespace, template }
    }

    pub(crate) fn url(&self) -> &str {
        &self.live.url
    }

    /// Installs the assets: by the program's `setup`, or reduced, where the server is a bare one that lacks index types.
    pub(crate) async fn set_up(&self, configuration: &Path) {
        if self.is_bare().await {
            let api = Api::new(&self.live.transport, &self.live.url);
            let server = detect(&api, Some(self.live.flavour)).await.unwrap();
            let target = Target::new(server.flavour, server.lifecycle, &self.namespace).unwrap();
            let mut assets = Assets::render(&Tables::builtin(), target);
            reduce(&self.live, &mut assets).await;
            apply(&api, &assets).await.unwrap();
        } else {
            let mut setup = Command::new(program());
            let told = setup.args(["setup", "--config"]).arg(configuration).stdin(Stdio::null()).output();
            let told = told.unwrap();
            assert!(told.status.success(), "setup: {}", String::from_utf8_lossy(&told.stderr));
        }
        self.narrow().await;
    }

    async fn is_bare(&self) -> bool {
        for index in ["constant_keyword", "match_only_text", "wildcard"] {
            if !self.live.has_type(index).await {
                return true;
            }
        }
        false
    }

    /// A mapping such as a user may have made: a keyword without the limit that keeps long values from being refused.
    async fn narrow(&self) {
        let path = format!("/_index_template/{}", self.template);
        let (status, mut answer) = self.live.call(Method::Get, &path, None).await;
        assert_eq!(status, 200, "{answer}");
        let mut template = answer["index_templates"][0]["index_template"].take();
        template["template"]["mappings"]["properties"]["anthropic"] = json!({"properties":
            {"audit": {"properties": {"claude_chat_id": {"type": "keyword"}}}}});
        // What the server adds when it is asked, and does not take back.
        for date in ["created_date", "created_date_millis", "modified_date", "modified_date_millis"] {
            template.as_object_mut().unwrap().remove(date);
        }
        self.live.put(&path, &template).await;
        // `setup` makes the data stream where the server has a call for it; its first index has the old mapping.
        let (status, _) = self.live.call(Method::Head, &format!("/{}", self.stream), None).await;
        if status == 200 {
            let (status, answer) =
                self.live.call(Method::Post, &format!("/{}/_rollover", self.stream), None).await;
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// The ids of all documents there are, each as often as it is there.
    pub(crate) async fn ids(&mut self) -> Vec<String> {
        // Connections from before a restart of the server are of no use.
        self.live.transport = Transport::single_node(&self.live.url).unwrap();
        let (status, answer) =
            self.live.call(Method::Post, &format!("/{}/_refresh", self.stream), None).await;
        assert_eq!(status, 200, "{answer}");
        let body = json!({"size": 10_000, "sort": ["_doc"], "_source": ["event.id"],
            "query": {"match_all": {}}, "track_total_hits": true});
        let path = format!("/{}/_search?scroll=2m", self.stream);
        let (status, mut answer) = self.live.call(Method::Post, &path, Some(body.to_string())).await;
        assert_eq!(status, 200, "{answer}");
        let total = answer["hits"]["total"]["value"].as_u64().unwrap();
        let mut ids = Vec::new();
        loop {
            let hits = answer["hits"]["hits"].as_array().unwrap();
            if hits.is_empty() {
                break;
            }
            for hit in hits {
                assert_eq!(hit["_id"], hit["_source"]["event"]["id"], "stored under another id");
                ids.push(hit["_id"].as_str().unwrap().to_owned());
            }
            let next = json!({"scroll": "2m", "scroll_id": answer["_scroll_id"]}).to_string();
            let (status, more) = self.live.call(Method::Post, "/_search/scroll", Some(next)).await;
            assert_eq!(status, 200, "{more}");
            answer = more;
        }
        let scroll = json!({"scroll_id": answer["_scroll_id"]}).to_string();
        self.live.call(Method::Delete, "/_search/scroll", Some(scroll)).await;
        assert_eq!(ids.len() as u64, total, "the scroll is not what the server counts");
        assert_eq!(self.live.count(&self.stream, json!({"match_all": {}})).await, total);
        ids
    }

    /// Takes away what was made.
    pub(crate) async fn remove(&self) {
        for path in [format!("/_data_stream/{}", self.stream), format!("/_index_template/{}", self.template)]
        {
            let (status, answer): (u16, Value) = self.live.call(Method::Delete, &path, None).await;
            // The bare server has no call for data streams; there the index stays, and with it its template.
            assert!(matches!(status, 200 | 400 | 404 | 405), "{path}: {answer}");
        }
    }
}
