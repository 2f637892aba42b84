//! Connections: the reuse of silent connections, the trusted certificates, and the environment's proxies.

use super::{
    alone::{ALONE, run_alone},
    server::{Act, Server, http as reply, ok},
    tls::Ca,
    *,
};
use crate::core::protocol::reply::NotSent;
use std::fs;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// A client that uses connections again after silence of up to `idle`.
fn idle_for(idle: Duration, url: &str) -> AwsCognito {
    let roots = trust::with_bundle(None).expect("the system's");
    let http = http::client(roots, idle);
    let config = sdk_config(url).into_builder().http_client(http).build();
    with(numbered_identity().0, config, LONG_TIMEOUTS)
}

fn assert_applied(reply: &Reply) {
    assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
}

#[test]
fn a_connection_is_not_used_again_after_half_a_minute() {
    assert!(http::IDLE_MAX < Duration::from_secs(30));
}

/// Like a middlebox, the server closes nothing and answers nothing more.
#[tokio::test]
async fn a_connection_that_has_been_silent_for_long_is_not_used_again() {
    let answer = reply("200 OK", "x-amzn-requestid: 4711\r\n", "{}");
    let server = Server::start([Act::ReplyThenMute(answer), ok("{}")]).await;
    let cognito = idle_for(Duration::from_millis(200), &server.url());
    assert_applied(&set(&cognito).await);
    server
        .wait_until(|traffic| traffic.closed_by_client == 1)
        .await;
    assert_applied(&set(&cognito).await);
    assert_eq!(server.traffic().connections, 2);
}

/// `/proc` shows the timer of a connection: 2 is the timer of the keepalive.
#[tokio::test]
async fn connections_have_tcp_keepalive() {
    let server = Server::start([ok("{}")]).await;
    let cognito = idle_for(http::IDLE_MAX, &server.url());
    assert_applied(&set(&cognito).await);
    let port = format!(":{:04X}", server.port());
    let timer = || {
        let table = fs::read_to_string("/proc/self/net/tcp").expect("the kernel's table");
        let ours = table.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (remote, state) = (fields.get(2)?, fields.get(3)?);
            let is_ours = remote.ends_with(&port) && *state == "01";
            is_ours.then(|| fields[5].split(':').next().expect("a timer").to_owned())
        });
        ours.expect("the connection")
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    // Until the last segment is acknowledged, `/proc` shows the timer of the retransmission.
    while timer() != "02" {
        assert!(tokio::time::Instant::now() < deadline, "{}", timer());
        tokio::task::yield_now().await;
    }
}

/// A TLS server with a certificate of this CA, which forwards to `server`. Returns the port.
async fn tls_before(server: &Server, ca: &Ca) -> u16 {
    let (acceptor, behind) = (ca.acceptor(&["http/1.1"]), server.port());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let behind = TcpStream::connect(("127.0.0.1", behind)).await;
                let mut behind = behind.expect("the server");
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_server_with_an_untrusted_ca_gets_no_request() {
    let server = Server::start([ok("{}")]).await;
    let port = tls_before(&server, &Ca::new()).await;
    let reply = set(&idle_for(
        http::IDLE_MAX,
        &format!("https://localhost:{port}"),
    ))
    .await;
    let fits = matches!(&reply, Reply::NotSent { cause: NotSent::Connect, detail }
        if detail.contains("UnknownIssuer"));
    assert!(fits, "{reply:?}");
    assert_eq!(server.traffic().requests.len(), 0);
}

const SETTINGS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "key"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("HOME", "/nowhere"),
];

/// Makes one call with this environment, in a process of its own.
fn set_alone(environment: &[(&str, &str)]) {
    let environment = [&SETTINGS[..], environment, &[(ALONE, "/nowhere")]].concat();
    run_alone(module_path!(), "with_the_real_environment", &environment);
}

#[tokio::test]
#[ignore = "run by others"]
async fn with_the_real_environment() {
    if std::env::var(ALONE).is_err() {
        return;
    }
    let cognito = AwsCognito::load().await.expect("fit settings");
    assert_applied(&set(&cognito).await);
}

const ENDPOINT: &str = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER";

/// The bundle is trusted even if `SSL_CERT_FILE` replaces the system's certificates.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_of_aws_ca_bundle_are_trusted_besides_the_others() {
    let (theirs, ours) = (Ca::new(), Ca::new());
    let server = Server::start((0..3).map(|_| ok("{}"))).await;
    let by_theirs = format!("https://localhost:{}", tls_before(&server, &theirs).await);
    let by_ours = format!("https://127.0.0.1:{}", tls_before(&server, &ours).await);
    let (theirs, ours) = (theirs.bundle(), ours.bundle());
    let (theirs, ours) = (
        theirs.to_str().expect("UTF-8"),
        ours.to_str().expect("UTF-8"),
    );
    let bundle = ("AWS_CA_BUNDLE", ours);
    tokio::task::block_in_place(|| {
        set_alone(&[(ENDPOINT, &by_ours), bundle]);
        set_alone(&[(ENDPOINT, &by_ours), bundle, ("SSL_CERT_FILE", theirs)]);
        set_alone(&[(ENDPOINT, &by_theirs), bundle, ("SSL_CERT_FILE", theirs)]);
    });
    server.assert_requests(3).await;
}

/// A proxy for CONNECT. Returns the port and the heads of the requests.
async fn tunnel() -> (u16, Arc<Mutex<Vec<String>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let sender = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(char::from(stream.read_u8().await.expect("a head")));
            }
            let to = head.split(' ').nth(1).expect("where to").to_owned();
            sender.lock().expect("no panic").push(head);
            tokio::spawn(async move {
                let mut to = TcpStream::connect(to).await.expect("the server");
                let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
                stream.write_all(established).await.expect("the client");
                let _ = copy_bidirectional(&mut stream, &mut to).await;
            });
        }
    });
    (port, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_goes_through_the_tunnel_of_the_environments_proxy() {
    let ca = Ca::new();
    let server = Server::start([ok("{}"), ok("{}")]).await;
    let port = tls_before(&server, &ca).await;
    let endpoint = format!("https://localhost:{port}");
    let bundle = ca.bundle();
    let (proxy, received) = tunnel().await;
    let proxy = format!("http://user:pass@127.0.0.1:{proxy}");
    let environment = [
        (ENDPOINT, &*endpoint),
        ("AWS_CA_BUNDLE", bundle.to_str().expect("UTF-8")),
        ("HTTPS_PROXY", &proxy),
    ];
    let excepted = [&environment[..], &[("NO_PROXY", "localhost")]].concat();
    tokio::task::block_in_place(|| {
        set_alone(&environment);
        set_alone(&excepted);
    });
    server.assert_requests(2).await;
    let received = received.lock().expect("no panic").clone();
    assert_eq!(received.len(), 1, "{received:?}");
    assert!(
        received[0].starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")),
        "{received:?}"
    );
    assert!(
        received[0].contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"),
        "{received:?}"
    );
}

/// The metadata services are plain HTTP. So a proxy reads the requests themselves, and a request names the
/// host by the whole URL.
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_forwarded_by_the_environments_proxy() {
    let refused = Act::Reply(reply("403 Forbidden", "", ""));
    let server = Server::start([refused]).await;
    let proxy = format!("http://user:pass@127.0.0.1:{}", server.port());
    let environment = [
        ("HOME", "/nowhere"),
        ("HTTP_PROXY", &*proxy),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://imds.example"),
        (ALONE, "/nowhere"),
    ];
    tokio::task::block_in_place(|| {
        run_alone(module_path!(), "with_a_metadata_service", &environment);
    });
    let asked = server.traffic().requests.swap_remove(0);
    let line = "PUT http://imds.example/latest/api/token HTTP/1.1\r\n";
    assert!(asked.starts_with(line), "{asked}");
    assert!(
        asked.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"),
        "{asked}"
    );
}

#[tokio::test]
#[ignore = "run by plain_http_is_forwarded_by_the_environments_proxy"]
async fn with_a_metadata_service() {
    if std::env::var(ALONE).is_err() {
        return;
    }
    let cognito = AwsCognito::load().await.expect("fit settings");
    let failure = cognito.authenticate(&authority(&target())).await;
    failure.expect_err("the metadata service refuses");
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("the kernel tells");
    let pages = statm.split(' ').nth(1).expect("the resident pages");
    pages.parse::<usize>().expect("a number") * 4_096
}

#[test]
fn calls_in_thousands_of_regions_keep_no_memory() {
    run_alone(
        module_path!(),
        "calls_in_thousands_of_regions",
        &[(ALONE, "/nowhere")],
    );
}

/// With one SDK client for each Region, each Region took 24 kB: 72 MB in all.
#[tokio::test]
#[ignore = "run by calls_in_thousands_of_regions_leave_nothing_behind"]
async fn calls_in_thousands_of_regions() {
    if std::env::var(ALONE).is_err() {
        return;
    }
    let (warm_up, regions) = (300, 3_000);
    let server = Server::start((0..warm_up + regions).map(|_| ok("{}"))).await;
    let cognito = cognito(sdk_config(&server.url()));
    let mut before = 0;
    for n in 0..warm_up + regions {
        if n == warm_up {
            before = resident();
        }
        let target = Target::parse(&format!("made-up-{n}_a"), "ci-bot").expect("a fit target");
        let authority = authority(&target);
        cognito.authenticate(&authority).await.expect("credentials");
        let reply = cognito
            .admin_set_user_password(&authority, &target, &password(), true)
            .await;
        assert_applied(&reply);
    }
    let grown = resident().saturating_sub(before);
    // Measured: 0.9 kB for each Region. The server of this test keeps the requests in that memory.
    assert!(grown < 12 << 20, "{} bytes for each", grown / regions);
    assert_eq!(server.traffic().connections, 1);
}

#[test]
fn an_unreadable_bundle_is_an_error_at_start() {
    let environment = [("AWS_CA_BUNDLE", "/nowhere/ca.pem"), (ALONE, "/nowhere")];
    run_alone(
        module_path!(),
        "with_a_bundle_that_is_not_there",
        &environment,
    );
}

#[tokio::test]
#[ignore = "run by a_bundle_that_cannot_be_read_is_said_at_start"]
async fn with_a_bundle_that_is_not_there() {
    if std::env::var(ALONE).is_err() {
        return;
    }
    let Err(SettingsError::Bundle(error)) = AwsCognito::load().await else {
        panic!("there is no such file");
    };
    let message = error.to_string();
    assert!(
        message.contains("/nowhere/ca.pem, which can't be read"),
        "{message}"
    );
}
