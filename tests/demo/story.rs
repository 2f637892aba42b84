//! The story, chapter by chapter. Each step checks what the step prints.

use serde_json::json;

use crate::Step;
use crate::metrics;
use crate::say::{Say, time};
use crate::stage::{DEADLINE, NAMESPACE, OTHER, Stage};

const SECRET: &str = "ci-bot-credentials";
const OTHERS_SECRET: &str = "report-bot-credentials";
const FIRST: &str = "first-Passw0rd";
const SECOND: &str = "second-Passw0rd";
const WEAK: &str = "weak";
const THIRD: &str = "third-Passw0rd";
const FOURTH: &str = "fourth-Passw0rd";
const OTHERS: &str = "others-Passw0rd";

pub(crate) async fn tell(say: &mut Say, stage: &mut Stage) -> Step {
    a_pool_and_a_user(say, stage).await?;
    the_password_is_declared(say, stage).await?;
    the_secret_is_rotated(say, stage).await?;
    other_changes_cost_nothing(say, stage).await?;
    a_weak_password_is_refused(say, stage).await?;
    a_line_break_never_gets_there(say, stage).await?;
    a_user_who_comes_later(say, stage).await?;
    nobody_without_a_grant(say, stage).await?;
    a_restart_costs_nothing(say, stage).await?;
    let mut passwords = [FIRST, SECOND, THIRD, FOURTH, OTHERS]
        .map(str::to_owned)
        .to_vec();
    if metrics::are_wanted() {
        passwords.extend(metrics::tell(say, stage).await?);
    }
    nothing_leaked(say, stage, &passwords)
}

async fn a_pool_and_a_user(say: &mut Say, stage: &mut Stage) -> Step {
    say.chapter("A user pool, and a user without a password");
    let (pool, application) = stage.moto.create_pool("demo", 8).await;
    stage.moto.create_user(&pool, "ci-bot").await;
    let status = stage.moto.user_status(&pool, "ci-bot").await;
    say.line(&format!("The pool {pool} wants at least 8 characters."));
    say.line(&format!(
        "Its user ci-bot is {status}: nobody can sign in as ci-bot yet."
    ));
    stage.pool = pool;
    stage.application = application;
    stage.sign_in(say, "ci-bot", FIRST, false).await
}

async fn the_password_is_declared(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("The password is declared: it is what the Secret says");
    say.line("The platform team says who may manage which users of the pool:");
    let grant = grant(NAMESPACE, &stage.pool, &["ci-bot", "deploy-*"]);
    stage.apply_globally(say, &grant)?;
    stage.kubectl_globally(say, &["create", "namespace", NAMESPACE])?;
    say.gap();
    say.line("And the team, which password is whose:");
    let literal = format!("--from-literal=password={FIRST}");
    stage.kubectl(say, &["create", "secret", "generic", SECRET, &literal])?;
    let resource = resource("ci-bot", &stage.pool, SECRET);
    say.gap();
    say.output(&resource);
    say.gap();
    let mark = stage.mark();
    stage.apply(say, &resource)?;
    let ready = stage.wait_set("ci-bot", SECRET).await?;
    let applied = ("cognitouserpasswords", "ci-bot");
    let took = stage.took(mark, applied, &ready).await?;
    say.good(&format!(
        "set, and said so, {} after it was applied",
        time(took)
    ));
    stage.kubectl(say, &["get", "cup"])?;
    stage.sign_in(say, "ci-bot", FIRST, true).await?;
    let status = stage.moto.user_status(&stage.pool, "ci-bot").await;
    say.line(&format!("To Cognito the user is {status} now."));
    Ok(())
}

async fn the_secret_is_rotated(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("The Secret is rotated, and the password follows");
    set(say, stage, SECOND).await?;
    stage.sign_in(say, "ci-bot", SECOND, true).await?;
    stage.sign_in(say, "ci-bot", FIRST, false).await
}

async fn other_changes_cost_nothing(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("A change that doesn't touch the password doesn't touch Cognito");
    let calls = stage.calls().await;
    let mark = stage.mark();
    stage.kubectl(say, &["annotate", "cup", "ci-bot", "note=metadata"])?;
    stage.kubectl(say, &["label", "secret", SECRET, "team=a"])?;
    stage.wait_read(mark).await?;
    say.line("The operator has read the Secret again, and found the same value:");
    same_calls(say, stage, calls).await
}

async fn a_weak_password_is_refused(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("The pool's policy refuses a weak password");
    let calls = stage.calls().await;
    patch(say, stage, WEAK)?;
    // The status write names the version that the operator has seen, so the annotation comes before that
    // write.
    stage.wait_not("ci-bot", "InvalidPassword").await?;
    more_calls(say, stage, calls, 1.0).await?;
    stage.kubectl(say, &["get", "cup"])?;
    stage.show_message(say, "ci-bot")?;
    stage.kubectl(say, &["wait", "cup/ci-bot", "--for=condition=Stalled"])?;
    say.line("Stalled: somebody must act. What was set last still holds:");
    stage.sign_in(say, "ci-bot", SECOND, true).await?;
    say.gap();
    say.line("A better value in the Secret is all it takes:");
    set(say, stage, THIRD).await?;
    stage.sign_in(say, "ci-bot", THIRD, true).await
}

async fn a_line_break_never_gets_there(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("The classic: echo password | base64");
    let calls = stage.calls().await;
    patch(say, stage, &format!("{FOURTH}\n"))?;
    stage.wait_not("ci-bot", "InvalidSecretValue").await?;
    stage.show_message(say, "ci-bot")?;
    same_calls(say, stage, calls).await?;
    say.gap();
    set(say, stage, FOURTH).await?;
    stage.sign_in(say, "ci-bot", FOURTH, true).await
}

async fn a_user_who_comes_later(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("The user comes later");
    let resource = resource("deploy-bot", &stage.pool, SECRET);
    say.line("The same for deploy-bot, who isn't in the pool:");
    stage.apply(say, &resource)?;
    stage.wait_not("deploy-bot", "UserNotFound").await?;
    stage.kubectl(say, &["get", "cup"])?;
    stage.show_message(say, "deploy-bot")?;
    say.gap();
    stage.moto.create_user(&stage.pool, "deploy-bot").await;
    say.line("Now deploy-bot is created. No event tells the operator; it looks again within");
    say.line("minutes by itself, and at once when it is asked to:");
    let request = "cognito-password-operator.io/requestedAt=now";
    let mark = stage.mark();
    stage.kubectl(say, &["annotate", "cup", "deploy-bot", request])?;
    let ready = stage.wait_set("deploy-bot", SECRET).await?;
    let asked = ("cognitouserpasswords", "deploy-bot");
    let took = stage.took(mark, asked, &ready).await?;
    say.good(&format!(
        "set, and said so, {} after it was asked for",
        time(took)
    ));
    stage.sign_in(say, "deploy-bot", FOURTH, true).await?;
    stage.kubectl(say, &["get", "cup"])
}

async fn nobody_without_a_grant(say: &mut Say, stage: &mut Stage) -> Step {
    say.chapter("Another team, and nobody has granted it anything");
    stage.namespace = OTHER;
    stage.moto.create_user(&stage.pool, "report-bot").await;
    stage.kubectl_globally(say, &["create", "namespace", OTHER])?;
    let literal = format!("--from-literal=password={OTHERS}");
    stage.kubectl(
        say,
        &["create", "secret", "generic", OTHERS_SECRET, &literal],
    )?;
    say.line("The same for report-bot, who is in the pool:");
    let (mark, calls) = (stage.mark(), stage.calls().await);
    let resource = resource("report-bot", &stage.pool, OTHERS_SECRET);
    stage.apply(say, &resource)?;
    stage.wait_not("report-bot", "NotGranted").await?;
    stage.kubectl(say, &["get", "cup"])?;
    stage.show_message(say, "report-bot")?;
    same_calls(say, stage, calls).await?;
    let seen = stage.asked(mark, "get", "secrets");
    let told = format!("the API server's audit log: {seen} Secrets of {OTHER} read");
    if seen > 0 {
        return Err(told);
    }
    say.good(&told);
    say.gap();
    say.line("The platform team grants it; the team itself has nothing more to do:");
    let mark = stage.mark();
    stage.apply_globally(say, &grant(OTHER, &stage.pool, &["report-*"]))?;
    let ready = stage.wait_set("report-bot", OTHERS_SECRET).await?;
    let granted = ("cognitouserpoolgrants", OTHER);
    let took = stage.took(mark, granted, &ready).await?;
    say.good(&format!(
        "set, and said so, {} after it was granted",
        time(took)
    ));
    stage.sign_in(say, "report-bot", OTHERS, true).await?;
    stage.wait_grant(OTHER).await?;
    stage.kubectl_globally(say, &["get", "cupg"])?;
    stage.namespace = NAMESPACE;
    Ok(())
}

async fn a_restart_costs_nothing(say: &mut Say, stage: &mut Stage) -> Step {
    say.chapter("The operator restarts, and finds everything in sync");
    let progress = say.begin("SIGTERM");
    let ended = stage.operator.terminate(DEADLINE).await;
    progress.done();
    if !ended.success() {
        return Err(format!("the operator did not end well: {ended:?}"));
    }
    let mark = stage.mark();
    let progress = say.begin("Started again");
    stage.start_operator().await;
    stage.wait_in_sync(3.0).await?;
    progress.done();
    let calls = stage.calls().await;
    let told = format!("calls to Cognito since then, by its metrics: {calls}");
    if calls > 0.0 {
        return Err(told);
    }
    say.good(&told);
    let reads = stage.asked(mark, "get", "secrets");
    let writes = stage.asked(mark, "patch", "cognitouserpasswords");
    let told = format!(
        "the API server's audit log: {reads} Secrets of {NAMESPACE} read, {writes} statuses written"
    );
    if (reads, writes) != (0, 0) {
        return Err(told);
    }
    say.good(&told);
    Ok(())
}

fn nothing_leaked(say: &mut Say, stage: &Stage, passwords: &[String]) -> Step {
    say.chapter("What others may read holds no password");
    let readable = stage.what_others_may_read()?;
    if let Some(leaked) = passwords
        .iter()
        .find(|password| readable.contains(&***password))
    {
        return Err(format!(
            "{leaked} is in a status, an event or the operator's log"
        ));
    }
    say.good(&format!(
        "none of the {} passwords is in the {} lines of resources, grants, events and log",
        passwords.len(),
        readable.lines().count()
    ));
    Ok(())
}

/// Changes the Secret, waits until the value is set, and prints the duration.
async fn set(say: &Say, stage: &Stage, password: &str) -> Step {
    let mark = stage.mark();
    patch(say, stage, password)?;
    let ready = stage.wait_set("ci-bot", SECRET).await?;
    let took = stage.took(mark, ("secrets", SECRET), &ready).await?;
    say.good(&format!(
        "set, and said so, {} after the Secret changed",
        time(took)
    ));
    Ok(())
}

fn patch(say: &Say, stage: &Stage, password: &str) -> Step {
    let change = json!({ "stringData": { "password": password } }).to_string();
    stage.kubectl(say, &["patch", "secret", SECRET, "-p", &change])
}

async fn same_calls(say: &Say, stage: &Stage, before: f64) -> Step {
    more_calls(say, stage, before, 0.0).await
}

async fn more_calls(say: &Say, stage: &Stage, before: f64, more: f64) -> Step {
    let calls = stage.calls().await;
    if (calls - before - more).abs() > 0.5 {
        return Err(format!(
            "there were {before} calls to Cognito, now there are {calls}"
        ));
    }
    say.good(&format!(
        "calls to Cognito, by the operator's metrics: {before} before, {calls} now"
    ));
    Ok(())
}

fn grant(namespace: &str, pool: &str, usernames: &[&str]) -> String {
    let usernames = usernames.join(", ");
    format!(
        "apiVersion: cognito-password-operator.io/v1alpha1
kind: CognitoUserPoolGrant
metadata:
  name: {namespace}
spec:
  userPoolId: {pool}
  usernames: [{usernames}]
  namespaces:
    names: [{namespace}]
"
    )
}

fn resource(user: &str, pool: &str, secret: &str) -> String {
    format!(
        "apiVersion: cognito-password-operator.io/v1alpha1
kind: CognitoUserPassword
metadata:
  name: {user}
spec:
  userPoolId: {pool}
  username: {user}
  passwordSecretRef:
    name: {secret}
    key: password
"
    )
}
