//! The log levels of libraries are capped, whatever the log's setting. Every world checks that at its end;
//! this test uses the most hostile settings.

use futures::future::join_all;

use super::super::world::{SOON, World};
use super::marker;
use crate::support::eventually;

/// `--log`, and `RUST_LOG`, which the operator ignores.
const HOSTILE: [(&str, &str); 8] = [
    ("info", "trace"),
    ("off", "aws_sigv4=trace,kube_client=trace"),
    ("trace", "off"),
    (
        "aws_sigv4=trace,aws_smithy_runtime=trace,aws_config=trace",
        "",
    ),
    ("hyper=trace,hyper_util::client=trace,h2=trace,rustls=5", ""),
    (
        "kube_client::client=trace,kube_runtime=TRACE,tower=trace",
        "",
    ),
    (
        "[reconciling object]=trace,[HTTP]=trace,kube_client[HTTP{http.method=GET}]=trace,[{message}]=trace",
        "",
    ),
    (
        "aws_smithy_runtime[{message}]=trace,aws_sigv4[{x}]=trace,,,,trace,",
        "",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_flag_and_no_variable_raises_the_log_level_of_libraries() {
    let world = World::new("caps").await;
    let operators = HOSTILE.map(|(log, rust_log)| {
        let builder = world.builder().arg("--log").arg(log);
        let builder = builder.env("RUST_LOG", rust_log);
        async move {
            let operator = builder.start().await;
            operator.wait_ready(SOON).await;
            operator
        }
    });
    let operators = join_all(operators).await;
    // Each operator watches the Secret and reads the value, and at least one operator sends the value.
    world.in_sync("bot", &marker("caps")).await;
    let [by_default, silent, verbose, ..] = &operators[..] else {
        unreachable!("there are more");
    };
    eventually(SOON, async || {
        let has_debug = verbose.logs().contains(r#""level":"DEBUG""#);
        has_debug.then_some(()).ok_or("not a word".to_owned())
    })
    .await;
    assert!(!by_default.logs().contains(r#""level":"DEBUG""#));
    assert_eq!(silent.logs(), "");
}
