//! What goes over the wire: paths, headers, compression; and configurations that make no sense.

use elasticsearch::http::Method;
use elasticsearch::http::headers::HeaderMap;

use super::*;

#[tokio::test]
async fn documents_go_to_the_data_stream_of_the_namespace() {
    let fake = FakeElasticsearch::start().await;
    let sink = open(json!({"url": fake.url(), "namespace": "eu.prod"})).unwrap();
    deliver(&sink, &numbered(1)).await;
    let bulk = fake.bulks().remove(0);
    assert_eq!(bulk.method, "POST");
    assert!(bulk.path.starts_with("/logs-anthropic.audit-eu.prod/_bulk?"), "{}", bulk.path);
    assert!(bulk.path.contains("require_data_stream=true") && bulk.path.contains("filter_path=errors,items"));
    assert_eq!(bulk.headers["content-type"], "application/x-ndjson");
    assert!(bulk.headers["user-agent"].starts_with("anthropic-ecs/"));
    assert!(!bulk.headers.contains_key("authorization"));
}

#[tokio::test]
async fn documents_are_stored_as_they_are() {
    let fake = FakeElasticsearch::start().await;
    deliver(&sink(&fake), &documents(["a"])).await;
    let expected = json!({"@timestamp": "2026-01-02T03:04:05.678901Z", "event": {"id": "a"}});
    assert_eq!(fake.state().stored["a"], expected);
}

#[tokio::test]
async fn bodies_are_compressed_where_the_wire_costs_something() {
    for (compression, coding) in [(json!("gzip"), Some("gzip")), (json!("none"), None), (Value::Null, None)] {
        let fake = FakeElasticsearch::start().await;
        let sink = open(json!({"url": fake.url(), "compression": compression})).unwrap();
        deliver(&sink, &numbered(100)).await;
        let bulk = fake.bulks().remove(0);
        assert_eq!(bulk.headers.get("content-encoding").map(String::as_str), coding);
        if coding.is_some() {
            assert!(bulk.headers["content-length"].parse::<usize>().unwrap() < bulk.body.len() / 3);
        }
        assert_eq!(fake.ids(), ids(100));
    }
}

#[tokio::test]
async fn each_way_to_say_who_we_are_has_its_header() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, " secret \n").unwrap();
    let file = file.path();
    let table = [
        (json!({"api_key": "ZW5jb2RlZA=="}), "ApiKey ZW5jb2RlZA=="),
        (json!({"api_key": "id:key"}), "ApiKey aWQ6a2V5"),
        (json!({"api_key_file": file}), "ApiKey secret"),
        (json!({"username": "u", "password": "p:w"}), "Basic dTpwOnc="),
        (json!({"username": "u", "password_file": file}), "Basic dTpzZWNyZXQ="),
        (json!({"bearer": "token"}), "Bearer token"),
        (json!({"bearer_file": file}), "Bearer secret"),
    ];
    for (mut config, expected) in table {
        let fake = FakeElasticsearch::start().await;
        fake.state().authorization = Some(expected.to_owned());
        config["url"] = json!(fake.url());
        let sink = open(config).unwrap();
        assert!(deliver(&sink, &numbered(1)).await.faults.is_empty(), "{expected}");
        let (transport, host) = sink.client().management().unwrap();
        assert_eq!(host, fake.url());
        let path = "_security/_authenticate";
        let answer =
            transport.send(Method::Get, path, HeaderMap::new(), None::<&()>, None::<()>, None).await.unwrap();
        assert_eq!(answer.status_code(), 200, "management is known by the same name");
        assert!(!format!("{sink:?}").contains(expected.split(' ').nth(1).unwrap()), "a secret was shown");
    }
}

#[tokio::test]
async fn nothing_to_write_is_nothing_sent() {
    let fake = FakeElasticsearch::start().await;
    assert_eq!(sink(&fake).write(&Request::default()).await, Ok(Vec::new()));
    assert!(fake.state().seen.is_empty());
}

#[tokio::test]
async fn requests_under_way_together_do_not_disturb_each_other() {
    let fake = FakeElasticsearch::start().await;
    let sink = Arc::new(sink(&fake));
    let documents = numbered(80);
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..8_u32 {
        let (sink, documents) = (Arc::clone(&sink), Arc::clone(&documents));
        tasks.spawn(async move {
            let mut request = Request::default();
            request.add(&documents, (part * 10..part * 10 + 10).collect());
            sink.write(&request).await.unwrap()
        });
    }
    let outcomes = tasks.join_all().await.concat();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Delivered) && outcomes.len() == 80);
    assert_eq!(fake.ids(), ids(80));
    let looks = fake.state().seen.iter().filter(|seen| seen.path.starts_with("/_index_template")).count();
    assert_eq!(looks, 1, "the template is looked at once");
}

#[test]
fn limits_come_from_the_configuration() {
    let sink = open(json!({"url": "http://localhost:9200"})).unwrap();
    assert_eq!((sink.limits().bytes, sink.limits().documents, sink.most_in_flight()), (5 << 20, 5_000, 4));
    let config = json!({"url": "http://localhost:9200", "max_bulk_bytes": "1MiB", "max_bulk_documents": 7,
        "linger": "2s", "in_flight": 3});
    let sink = open(config).unwrap();
    assert_eq!((sink.limits().bytes, sink.limits().documents, sink.most_in_flight()), (1 << 20, 7, 3));
    assert_eq!(sink.limits().linger.as_secs(), 2);
}

#[test]
fn configurations_that_make_no_sense_are_refused_by_name() {
    let table = [
        (json!({"url": []}), "`url`"),
        (json!({"url": "localhost:9200"}), "`url`"),
        (json!({"url": "ftp://localhost"}), "`url`"),
        (json!({"url": "http://u:topsecret@localhost"}), "`url`"),
        (json!({"url": "http://localhost/?x=1"}), "`url`"),
        (json!({"url": ["http://localhost", "nothing"]}), "`url`"),
        (json!({"api_key": "topsecret", "api_key_file": "f"}), "`api_key_file`"),
        (json!({"api_key": "topsecret", "bearer": "topsecret"}), "more than one"),
        (json!({"api_key": "topsecret", "username": "u", "password": "topsecret"}), "more than one"),
        (json!({"username": "u"}), "`password`"),
        (json!({"password": "topsecret"}), "`username`"),
        (json!({"username": "u", "password": "topsecret", "password_file": "f"}), "`password_file`"),
        (json!({"url": "https://es", "client_certificate_file": "f"}), "`client_key_file`"),
        (json!({"url": "https://es", "client_key_file": "f"}), "`client_certificate_file`"),
        (json!({"ca_file": "f"}), "`ca_file`"),
        (json!({"danger_accept_invalid_certificates": true}), "https"),
        (
            json!({"url": "https://es", "ca_file": "f", "danger_accept_invalid_certificates": true}),
            "contradict",
        ),
        (json!({"namespace": "Upper"}), "`namespace`"),
        (json!({"namespace": ""}), "`namespace`"),
        (json!({"namespace": "a-b"}), "`namespace`"),
        (json!({"namespace": "a/../b"}), "`namespace`"),
        (json!({"max_bulk_bytes": 0}), "`max_bulk_bytes`"),
        (json!({"max_bulk_documents": 0}), "`max_bulk_documents`"),
        (json!({"in_flight": 0}), "`in_flight`"),
        (json!({"timeout": "0s"}), "`timeout`"),
        (json!({"api_key": "line\nend topsecret"}), "line end"),
    ];
    for (mut config, expected) in table {
        if config.get("url").is_none() {
            config["url"] = json!("http://localhost:9200");
        }
        let fault = open(config.clone()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unusable, "{config}");
        assert!(fault.cause.contains(expected), "{config}: {fault}");
        assert!(!fault.remedy.is_empty() && !fault.to_string().contains("topsecret"), "{config}: {fault}");
    }
    let unknown = serde_json::from_value::<ElasticsearchConfig>(json!({"url": "http://x", "apikey": "k"}));
    assert!(unknown.unwrap_err().to_string().contains("api_key"));
}

#[test]
fn files_that_are_not_there_are_named() {
    for key in ["ca_file", "api_key_file"] {
        let fault = open(json!({"url": "https://localhost", key: "/nowhere/at/all"})).unwrap_err();
        assert!(fault.cause.contains("/nowhere/at/all"), "{fault}");
    }
    let empty = tempfile::NamedTempFile::new().unwrap();
    let fault = open(json!({"url": "https://localhost", "ca_file": empty.path()})).unwrap_err();
    assert!(fault.cause.contains("no certificate"), "{fault}");
}
