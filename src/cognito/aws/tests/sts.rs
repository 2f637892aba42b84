//! Where STS is asked, how many roles are assumed at a time, and how long roles wait.

use super::roles::{role, session};
use super::*;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use rstest::rstest;
use std::collections::HashSet;
use tokio::time::Instant;

/// A fake of AWS. Every role can be assumed, except the roles that hang.
#[derive(Clone, Debug, Default)]
struct Aws(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    hosts: Vec<String>,
    /// A request for a role that contains one of these texts gets no answer.
    hangs: HashSet<&'static str>,
    /// The account in the answer to `GetCallerIdentity`. Without an account STS refuses.
    account: Option<&'static str>,
    assumed: usize,
    identified: usize,
}

impl Aws {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().expect("no test panics in here"))
    }

    /// A configuration as an environment could have, but without an endpoint.
    fn config(&self) -> aws_config::SdkConfig {
        let aws = SharedHttpConnector::new(self.clone());
        let config = sdk_config("https://unused.example").into_builder();
        let mut config = config.http_client(http_client_fn(move |_, _| aws.clone()));
        config.set_endpoint_url(None);
        config.build()
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let body = String::from_utf8_lossy(body).into_owned();
        let uri: ::http::Uri = request.uri().parse().expect("a URL");
        let (status, reply) = self
            .with(|state| {
                let host = uri.host().expect("a host").to_owned();
                state.hosts.push(host);
                if body.contains("Action=AssumeRole") {
                    state.assumed += 1;
                    let hangs = state.hangs.iter().any(|part| body.contains(part));
                    return (!hangs).then(|| (200, session("ASIA", 3_600)));
                }
                if body.contains("Action=GetCallerIdentity") {
                    state.identified += 1;
                    let account = state.account.map(|account| {
                        format!(
                            "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{account}\
                         </Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
                        )
                    });
                    return Some(account.map_or((403, String::new()), |reply| (200, reply)));
                }
                Some((200, "{}".to_owned()))
            })
            .unzip();
        match (status, reply) {
            (Some(status), Some(reply)) => {
                let status = StatusCode::try_from(status).expect("a status");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(reply))))
            }
            _ => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

async fn set_as(cognito: &AwsCognito, authority: &Authority) {
    cognito.authenticate(authority).await.expect("credentials");
    let reply = cognito
        .admin_set_user_password(authority, &target(), &password(), true)
        .await;
    assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
}

#[rstest]
#[case(
    false,
    false,
    None,
    "sts.eu-west-1.amazonaws.com",
    "cognito-idp.eu-west-1.amazonaws.com"
)]
#[case(
    true,
    false,
    None,
    "sts-fips.eu-west-1.amazonaws.com",
    "cognito-idp-fips.eu-west-1.amazonaws.com"
)]
#[case(
    false,
    true,
    None,
    "sts.eu-west-1.api.aws",
    "cognito-idp.eu-west-1.amazonaws.com"
)]
#[case(
    false,
    true,
    Some("eu-north-1"),
    "sts.eu-north-1.api.aws",
    "cognito-idp.eu-west-1.amazonaws.com"
)]
#[tokio::test]
async fn region_fips_and_dual_stack_choose_the_endpoint_of_sts(
    #[case] fips: bool,
    #[case] dual_stack: bool,
    #[case] home: Option<&'static str>,
    #[case] sts: &str,
    #[case] cognito_idp: &str,
) {
    let aws = Aws::default();
    let mut config = aws.config().into_builder();
    config.set_use_fips(Some(fips));
    config.set_use_dual_stack(Some(dual_stack));
    config.set_region(home.map(config::Region::from_static));
    set_as(&cognito(config.build()), &role("a", None)).await;
    assert_eq!(aws.with(|state| state.hosts.clone()), [sts, cognito_idp]);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_hangs_fails_after_10_seconds_and_delays_no_other() {
    let aws = Aws::default();
    aws.with(|state| state.hangs.insert("role%2Fhangs"));
    let cognito = cognito(aws.config());
    let begun = Instant::now();
    let hangs = async {
        let failure = cognito.authenticate(&role("hangs", None)).await;
        (begun.elapsed().as_secs(), failure.expect_err("it hangs").0)
    };
    let others = async {
        tokio::task::yield_now().await;
        set_as(&cognito, &role("a", None)).await;
        set_as(&cognito, &authority(&target())).await;
        begun.elapsed().as_secs()
    };
    let ((failed_after, failure), others_after) = tokio::join!(hangs, others);
    assert_eq!((failed_after, others_after), (10, 0));
    assert!(
        failure.ends_with("STS didn't answer within 10s"),
        "{failure}"
    );
}

/// Roles whose STS hangs.
fn hanging(aws: &Aws, count: usize) -> Vec<Authority> {
    aws.with(|state| state.hangs.insert("role%2Fhangs"));
    (0..count)
        .map(|n| role(&format!("hangs-{n}"), None))
        .collect()
}

/// All roles begin together: 16 at a time have a place, each for 100 ms.
#[rstest]
#[case(1)]
#[case(10)]
#[case(50)]
#[case(150)]
#[tokio::test(start_paused = true)]
async fn roles_whose_sts_hangs_delay_another_by_less_than_a_second(#[case] count: usize) {
    let aws = Aws::default();
    let roles = hanging(&aws, count);
    let cognito = cognito(aws.config());
    let all = futures::future::join_all(roles.iter().map(|role| cognito.authenticate(role)));
    let other = async {
        tokio::task::yield_now().await;
        let begun = Instant::now();
        set_as(&cognito, &role("a", None)).await;
        begun.elapsed()
    };
    let (answers, waited) = tokio::join!(all, other);
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert!(answers.iter().all(Result::is_err));
}

/// In the second round the hanging roles use their own queue. Every try ends within the 30 s for which a
/// caller waits.
#[rstest]
#[case(10, 0..=0)]
#[case(50, 2..=10)]
#[case(300, 252..=260)]
#[tokio::test(start_paused = true)]
async fn roles_whose_sts_hung_before_delay_only_each_other(
    #[case] count: usize,
    #[case] not_asked_in_time: std::ops::RangeInclusive<usize>,
) {
    let aws = Aws::default();
    let roles = hanging(&aws, count);
    let cognito = cognito(aws.config());
    let deadline = Duration::from_secs(30);
    let tries = || {
        let tried = |role| tokio::time::timeout(deadline, cognito.authenticate(role));
        futures::future::join_all(roles.iter().map(tried))
    };
    for answer in tries().await {
        answer.expect("it ends").expect_err("it hangs");
    }
    let others = async {
        tokio::task::yield_now().await;
        let begun = Instant::now();
        for n in 0..50 {
            set_as(&cognito, &role(&format!("other-{n}"), None)).await;
        }
        begun.elapsed()
    };
    let (answers, waited) = tokio::join!(tries(), others);
    assert_eq!(waited, Duration::ZERO);
    // The operator asks for 8 roles a second, so for at most 48 roles in the first half of the 10 s.
    let mut queued = 0;
    for answer in answers {
        let failure = answer.expect("it ends").expect_err("it hangs").0;
        if failure.ends_with("the operator asks for at most 8 such roles a second") {
            queued += 1;
        } else {
            assert!(
                failure.ends_with("STS didn't answer within 10s"),
                "{failure}"
            );
        }
    }
    assert!(not_asked_in_time.contains(&queued), "{queued}");
}

#[tokio::test(start_paused = true)]
async fn a_role_whose_caller_gives_up_early_counts_as_hanging() {
    let aws = Aws::default();
    let roles = hanging(&aws, 50);
    let cognito = cognito(aws.config());
    let tries = || {
        let tried = |role| tokio::time::timeout(Duration::from_secs(2), cognito.authenticate(role));
        futures::future::join_all(roles.iter().map(tried))
    };
    assert!(tries().await.iter().all(Result::is_err));
    let other = async {
        tokio::task::yield_now().await;
        let begun = Instant::now();
        set_as(&cognito, &role("a", None)).await;
        begun.elapsed()
    };
    let (_, waited) = tokio::join!(tries(), other);
    assert_eq!(waited, Duration::ZERO);
}

/// Of 20 roles, 16 have a place at once, each for 100 ms.
#[tokio::test(start_paused = true)]
async fn sts_is_blamed_only_if_it_had_longer_than_the_role_waited() {
    let aws = Aws::default();
    let roles = hanging(&aws, 20);
    let cognito = cognito(aws.config());
    let tries = futures::future::join_all(roles.iter().map(|role| cognito.authenticate(role)));
    let mut tries = std::pin::pin!(tries);
    let begun = Instant::now();
    for (until, queued) in [(50, 4), (150, 4), (250, 0)] {
        let until = Duration::from_millis(until);
        let rest = until.saturating_sub(begun.elapsed());
        let ended = tokio::time::timeout(rest, tries.as_mut()).await;
        assert!(ended.is_err(), "STS hangs");
        let delays = roles.iter().filter_map(|role| cognito.queue_delay(role));
        let delays: Vec<_> = delays.map(|delay| delay.0).collect();
        assert_eq!(delays.len(), queued, "{until:?}");
        for delay in delays {
            assert!(delay.contains("other roles came first"), "{delay}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_whose_sts_answers_again_is_assumed_like_any_other() {
    let aws = Aws::default();
    let roles = hanging(&aws, 1);
    let cognito = cognito(aws.config());
    cognito.authenticate(&roles[0]).await.expect_err("it hangs");
    aws.with(|state| state.hangs.clear());
    set_as(&cognito, &roles[0]).await;
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_roles_are_assumed_a_few_at_a_time() {
    let aws = Aws::default();
    let roles = hanging(&aws, 50);
    let cognito = cognito(aws.config());
    let all = futures::future::join_all(roles.iter().map(|role| cognito.authenticate(role)));
    let watch = async {
        let mut counts = Vec::new();
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            counts.push(aws.with(|state| state.assumed));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        counts
    };
    let (_, counts) = tokio::join!(all, watch);
    assert_eq!(counts, [16, 32, 48, 50], "what hangs gives its place up");
}

/// A client whose static keys don't name their account.
fn without_account(config: SdkConfig) -> AwsCognito {
    let keys = |_: Region| {
        let keys = Credentials::new("key", "secret", None, None, "test");
        Box::pin(std::future::ready(Ok(keys))) as _
    };
    with(Identity::new(Box::new(keys)), config, LONG_TIMEOUTS)
}

/// Waits until no task has work left. The clock is paused, so the sleep ends only then.
async fn idle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_account_of_static_keys_is_requested_once_and_only_if_roles_are_used() {
    let aws = Aws::default();
    aws.with(|state| state.account = Some("999988887777"));
    let cognito = without_account(aws.config());
    let own = authority(&target());
    let account = async || cognito.authenticate(&own).await.expect("credentials");
    assert_eq!(account().await, Account::OfSource);
    idle().await;
    assert_eq!(aws.with(|state| state.identified), 0, "no role so far");

    set_as(&cognito, &role("a", None)).await;
    assert_eq!(account().await, Account::OfSource, "nobody waits for it");
    idle().await;
    for _ in 0..2 {
        assert_eq!(account().await, Account::Id("999988887777".to_owned()));
        idle().await;
    }
    assert_eq!(aws.with(|state| state.identified), 1);
}

#[tokio::test(start_paused = true)]
async fn a_known_account_is_not_requested() {
    let aws = Aws::default();
    let cognito = cognito(aws.config());
    set_as(&cognito, &role("a", None)).await;
    let account = cognito.authenticate(&authority(&target())).await;
    assert_eq!(account, Ok(Account::Id("999988887777".to_owned())));
    idle().await;
    assert_eq!(aws.with(|state| state.identified), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_for_the_account_is_repeated_after_minutes() {
    let aws = Aws::default();
    let config = aws.config().into_builder();
    let cognito = without_account(config.retry_config(RetryConfig::disabled()).build());
    let own = authority(&target());
    set_as(&cognito, &role("a", None)).await;
    for asked in [1, 1, 1, 2, 2] {
        let account = cognito.authenticate(&own).await;
        assert_eq!(account, Ok(Account::OfSource));
        idle().await;
        assert_eq!(aws.with(|state| state.identified), asked);
        tokio::time::sleep(Duration::from_secs(119)).await;
    }
}
