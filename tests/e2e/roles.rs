//! The operator's port to AWS assumes roles at the STS of moto and of the fault server. Only environment
//! variables configure the port, so each case runs in a process of its own.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cognito_password_operator::{
    cognito::{Cognito, aws::AwsCognito},
    core::{
        access::authority::{Authority, ExternalId, Role},
        credential::password::Password,
        names::{arn::RoleArn, target::Target},
    },
};
use tokio::process::Command;

use super::world::POOL;
use crate::support::{FaultServer, Moto, SignIn, session_key};

const USER: &str = "ci-bot";
/// The environment variable that makes this binary the child process. The child prints its result after this
/// name.
const CHILD: &str = "TEST_AS_A_ROLE";

/// Sets a user's password by a role, with only this environment. Returns the result as text.
async fn set_as(role: &str, pool: &str, url: &str, environment: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().expect("this test binary"));
    child
        .args(["--ignored", "--exact", "--nocapture", "roles::child"])
        .env_clear()
        .env(CHILD, format!("{role} {pool}"))
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "test-secret-access-key")
        .env("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", url)
        .env("AWS_ENDPOINT_URL_STS", url)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(2), child.output()).await;
    let output = output.expect("it ends").expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let came = said
        .lines()
        .find_map(|line| line.split_once(&format!("{CHILD}: ")));
    let (_, came) = came.unwrap_or_else(|| panic!("{said}{output:?}"));
    came.to_owned()
}

#[tokio::test]
#[ignore = "run by the other tests of this file"]
async fn child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (role, pool) = task.split_once(' ').expect("a role and a pool");
    let target = Target::parse(pool, USER).expect("a fit target");
    let authority = Authority {
        role: Some(Arc::new(Role {
            arn: RoleArn::parse(role).expect("a fit ARN"),
            external_id: Some(ExternalId::parse("team-a").expect("a fit id")),
        })),
        region: target.pool.region(),
    };
    let password = Password::parse(b"set-as-a-role").expect("a fit password");
    let cognito = AwsCognito::load().await.expect("fit settings");
    let came = match cognito.authenticate(&authority).await {
        Ok(account) => {
            let set = cognito.admin_set_user_password(&authority, &target, &password, true);
            format!("{account:?} {:?}", set.await)
        }
        Err(failure) => failure.to_string(),
    };
    // Writes past the test harness, which prints on the same line.
    writeln!(std::io::stdout(), "\n{CHILD}: {came}").expect("who started us listens");
}

/// In moto each account has its own pools.
#[tokio::test]
async fn a_role_session_sets_passwords_in_the_roles_account_of_moto() {
    let moto = Moto::shared().await;
    let (pool, application) = moto.create_pool("roles", 8).await;
    moto.create_user(&pool, USER).await;
    let came = async |account: &str| {
        let role = format!("arn:aws:iam::{account}:role/passwords");
        set_as(&role, &pool, &moto.url(), &[]).await
    };
    let elsewhere = came("111122223333").await;
    assert!(
        elsewhere.contains("ResourceNotFoundException"),
        "{elsewhere}"
    );
    let here = came("123456789012").await;
    assert!(here.contains("Success"), "{here}");
    let signed_in = moto.sign_in(&pool, &application, USER, "set-as-a-role");
    assert_eq!(signed_in.await, SignIn::Ok);
}

const ROLE: &str = "arn:aws:iam::111122223333:role/passwords";

fn server() -> FaultServer {
    let server = FaultServer::start();
    server.add_user(POOL, USER);
    server
}

#[tokio::test]
async fn environment_variables_choose_the_endpoint_and_region_of_sts() {
    let server = server();
    server.allow_role(ROLE, Some("team-a"));
    let elsewhere = [("AWS_REGION", "eu-north-1")];
    for (environment, region) in [(&[][..], "eu-west-1"), (&elsewhere, "eu-north-1")] {
        let came = set_as(ROLE, POOL, &server.url(), environment).await;
        assert!(came.starts_with(r#"Id("111122223333") Success"#), "{came}");
        let assumed = server.assumed();
        let assumed = assumed.last().expect("it was assumed");
        assert_eq!(assumed.region, region);
        assert_eq!(assumed.session_name, "cognito-password-operator");
        assert_eq!(assumed.external_id.as_deref(), Some("team-a"));
        assert_eq!(assumed.access_key, "AKIAIOSFODNN7EXAMPLE");
        let app = "app/cognito-password-operator";
        assert!(assumed.user_agent.contains(app), "{assumed:?}");
        let call = server.calls().pop().expect("a call");
        assert_eq!(
            (&*call.region, call.access_key),
            ("eu-west-1", session_key(ROLE))
        );
    }
}

#[tokio::test]
async fn a_refused_role_is_reported_with_the_message_of_sts_and_no_password_is_set() {
    let server = server();
    let came = set_as(ROLE, POOL, &server.url(), &[]).await;
    let expected = format!(
        "the role {ROLE} can't be assumed: AccessDenied: User: \
         arn:aws:iam::999988887777:user/operator is not authorized to perform: sts:AssumeRole on \
         resource: {ROLE}"
    );
    assert_eq!(came, expected);
    assert_eq!(server.call_count(), 0);
}
