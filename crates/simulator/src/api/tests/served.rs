//! The server: what only a network can show.

use std::time::Duration;

use super::*;

/// A served simulation and a client that waits half a second at most for anything to move.
async fn served(settings: Settings) -> (Server, reqwest::Client, String) {
    let simulation = Simulation::new(settings);
    let key = simulation.key("activities").to_owned();
    let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
    let client =
        reqwest::Client::builder().no_proxy().read_timeout(Duration::from_millis(500)).build().unwrap();
    (server, client, key)
}

async fn fetch(server: &Server, client: &reqwest::Client, key: &str) -> reqwest::Result<Vec<u8>> {
    let url = format!("{}{ACTIVITIES_PATH}?limit=50", server.url());
    let response = client.get(url).header("x-api-key", key).send().await?;
    response.bytes().await.map(|bytes| bytes.to_vec())
}

#[tokio::test]
async fn the_server_answers_what_the_simulation_answers() {
    let (server, client, key) = served(small(6)).await;
    let expected = get(&mut Simulation::new(small(6)), small(6).start, "limit=50");
    assert_eq!(fetch(&server, &client, &key).await.unwrap(), expected.body);
}

#[tokio::test]
async fn transport_faults_are_errors_to_the_client_and_pass() {
    let (server, client, key) = served(small(6)).await;
    let whole = fetch(&server, &client, &key).await.unwrap();
    for kind in [FaultKind::Reset, FaultKind::ResetAfter, FaultKind::Stall, FaultKind::Cut, FaultKind::Abort]
    {
        // A client may repeat a request on a connection that was closed before anything came; so it must fail more than once.
        server.control().with(|simulation, _| simulation.order(Fault::new(kind).times(2)).unwrap());
        assert!(fetch(&server, &client, &key).await.is_err(), "{kind:?}");
        server.control().with(|simulation, _| simulation.clear_faults());
        assert_eq!(fetch(&server, &client, &key).await.unwrap(), whole, "{kind:?}");
    }
    let drip = Fault { bytes: Some(4_096), pause_millis: Some(1), ..Fault::new(FaultKind::Drip) };
    server.control().with(|simulation, _| simulation.order(drip).unwrap());
    assert_eq!(fetch(&server, &client, &key).await.unwrap(), whole);
}

#[tokio::test]
async fn everything_can_be_steered_by_the_control_routes() {
    let (server, client, key) = served(Settings { own_reads: None, ..small(6) }).await;
    let at = |name: &str| format!("{}/_control/{name}", server.url());
    let post = async |name: &str, body: &str| {
        let response = client.post(at(name)).body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let read = async |name: &str| client.get(at(name)).send().await.unwrap().text().await.unwrap();

    assert_eq!(post("faults", "{\"kind\":\"status\",\"status\":503}").await.0, 200);
    assert!(read("faults").await.contains("503"));
    assert!(
        String::from_utf8(fetch(&server, &client, &key).await.unwrap()).unwrap().contains("overloaded_error")
    );
    assert_eq!(read("faults").await, "");
    assert_eq!(post("faults", "[[fault]]\nkind = \"storm\"").await.0, 400);

    assert_eq!(post("clock", "{\"advance_seconds\":60}").await.1, "2026-10-06T12:01:00.000000Z");
    let (_, added) = post(
        "activities",
        "{\"type\":\"claude_chat_viewed\",\"created\":0,\"shown_after_seconds\":30,\"count\":2}",
    )
    .await;
    let added: Vec<_> = added.lines().collect();
    assert_eq!(added.len(), 2);
    assert!(read("truth").await.contains(added[0]));
    let page = async || String::from_utf8(fetch(&server, &client, &key).await.unwrap()).unwrap();
    assert!(!page().await.contains(added[1]));
    post("clock", "{\"advance_seconds\":30}").await;
    assert!(page().await.contains(added[1]));

    post("keys", "{\"name\":\"activities\",\"state\":\"revoked\"}").await;
    assert!(page().await.contains("revoked"));
    let status: Value = serde_json::from_str(&read("").await).unwrap();
    assert_eq!(status["now"], "2026-10-06T12:01:30.000000Z");
    assert_eq!(status["keys"]["activities"], key.as_str());
    assert_eq!(read("requests").await.lines().count(), 4);
    assert_eq!(post("weather", "").await.0, 400);
}

#[tokio::test]
async fn the_virtual_clock_stands_steps_and_runs() {
    let (server, client, key) = served(small(6)).await;
    let control = server.control();
    let start = small(6).start;
    fetch(&server, &client, &key).await.unwrap();
    assert_eq!(control.now(), start);
    control.pace(Pace::Stepped(7));
    fetch(&server, &client, &key).await.unwrap();
    assert_eq!(control.now(), start + 7);
    assert_eq!(control.advance(Duration::from_secs(2)), start + 7 + 2 * SECOND);
    control.pace(Pace::Times(1_000_000.0));
    while control.now() < start + 5 * SECOND {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dropped_server_no_longer_listens() {
    let (server, client, key) = served(small(6)).await;
    fetch(&server, &client, &key).await.unwrap();
    let address = server.address();
    drop(server);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_goes_away_and_returns_where_it_was() {
    let (server, client, key) = served(small(6)).await;
    let whole = fetch(&server, &client, &key).await.unwrap();
    server.go_away().await.unwrap();
    assert!(fetch(&server, &client, &key).await.unwrap_err().is_connect());
    server.come_back().await.unwrap();
    assert_eq!(fetch(&server, &client, &key).await.unwrap(), whole);
}

#[tokio::test]
async fn connections_are_refused_for_a_while_as_ordered() {
    let (server, client, key) = served(small(6)).await;
    let whole = fetch(&server, &client, &key).await.unwrap();
    let refuse = |millis| {
        let fault = Fault { pause_millis: Some(millis), ..Fault::new(FaultKind::Refused) };
        server.control().with(|simulation, _| simulation.order(fault).unwrap());
    };
    // For longer than the test runs: it is away until somebody brings it back.
    refuse(3_600_000);
    assert!(fetch(&server, &client, &key).await.is_err());
    while !fetch(&server, &client, &key).await.is_err_and(|error| error.is_connect()) {}
    server.come_back().await.unwrap();
    assert_eq!(fetch(&server, &client, &key).await.unwrap(), whole);
    // For no time: it comes back by itself.
    refuse(0);
    assert!(fetch(&server, &client, &key).await.is_err());
    while fetch(&server, &client, &key).await.is_err() {}
}

#[tokio::test]
async fn who_speaks_tls_meets_a_failed_handshake() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (server, client, key) = served(small(6)).await;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]).await.unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).await.unwrap();
    assert_eq!(alert, [0x15, 3, 3, 0, 2, 2, 40], "fatal, handshake failure");
    let url = format!("https://{}{ACTIVITIES_PATH}", server.address());
    assert!(client.get(url).header("x-api-key", &key).send().await.unwrap_err().is_connect());
    assert!(fetch(&server, &client, &key).await.is_ok(), "plain HTTP is as before");
}

#[tokio::test]
async fn files_are_streamed_in_chunks_and_complete() {
    let mut simulation = Simulation::new(Settings { tenant: Tenant::empty(), ..small(6) });
    let start = simulation.start();
    let upload = serde_json::json!({"claude_file_id": "claude_file_01f", "filename": "plan.txt"});
    simulation.tell(&event("claude_file_uploaded", 0, upload), start).unwrap();
    let key = simulation.key("user_data").to_owned();
    let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/compliance/apps/chats/files/claude_file_01f/content", server.url());
    let response = client.get(url).header("x-api-key", &key).send().await.unwrap();
    assert_eq!(response.headers()["transfer-encoding"], "chunked");
    assert!(response.headers().contains_key("content-md5"));
    let body = response.bytes().await.unwrap();
    assert!(body.starts_with(b"claude_file_01f\n"));
}

#[tokio::test]
async fn modes_scripts_and_deletion_are_steered_by_the_control_routes_too() {
    let (server, client, key) = served(Settings { tenant: Tenant::empty(), ..small(6) }).await;
    let post = async |name: &str, body: &str| {
        let at = format!("{}/_control/{name}", server.url());
        let response = client.post(at).body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let made = r#"{"type":"claude_chat_created","occurred":-9,"created":-8,"indexed":-7,"fields":{"claude_chat_id":"c"}}"#;
    let (status, id) = post("activities", made).await;
    assert!(status == 200 && id.starts_with("activity_01"), "{id}");
    assert_eq!(post("settings", "{\"cursors\":\"raw_ids\"}").await.0, 200);
    let page: Value = serde_json::from_slice(&fetch(&server, &client, &key).await.unwrap()).unwrap();
    assert_eq!(page["last_id"], id.trim());
    assert_eq!(post("settings", "{\"cursor\":1}").await.0, 400);
    assert_eq!(post("script", "[settings]\ngzip = false\n[[fault]]\nkind = \"status\"").await.0, 200);
    assert!(String::from_utf8(fetch(&server, &client, &key).await.unwrap()).unwrap().contains("api_error"));
    let chats = |control: &Control| {
        control
            .with(|simulation, now| asked(simulation, now, "/apps/chats")["data"].as_array().unwrap().len())
    };
    assert_eq!(chats(server.control()), 1);
    assert_eq!(post("erase", "{\"id\":\"c\"}").await.0, 200);
    assert_eq!(chats(server.control()), 0);
}
