//! `grants` answers as the operator decides, and says what the caller may not read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{VIEW, plugin, tenant};
use crate::support::scratch;
use crate::world::{POOL, SOON, World};

/// The exit status and the output of `grants` with these arguments.
async fn grants(kubeconfig: &Path, args: &[&str]) -> (i32, String) {
    let (status, said, errors) = plugin(kubeconfig, &[&["grants"][..], args].concat()).await;
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "{line}\n{said}");
    }
    (status, said + &errors)
}

/// The text in one line, as it was before it was broken into lines.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn document(kubeconfig: &Path, args: &[&str]) -> Value {
    let args = [&["grants"][..], args, &["-o", "json"]].concat();
    let (status, said, errors) = plugin(kubeconfig, &args).await;
    let document: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{errors}"));
    assert_eq!(document["exitStatus"], status);
    document
}

/// A file with a grant of one user to a namespace.
fn file(name: &str, namespace: &str, user: &str) -> PathBuf {
    let grant = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": POOL,
            "usernames": [user],
            "namespaces": { "names": [namespace] },
        },
    });
    let path = scratch("grants").join(format!("{name}.yaml"));
    fs::write(&path, grant.to_string()).expect("written");
    path
}

#[tokio::test]
async fn the_answers_are_what_the_operator_decides() {
    let (world, _turn) = World::alone("plugin-grants").await;
    let other = world.neighbour("plugin-other").await;
    other.revoke().await;
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    let admin = world.plane.kubeconfig_path();
    let (ours, theirs) = (&*world.namespace, &*other.namespace);
    world.in_sync("bot", "First-Passw0rd").await;
    world.cognito.add_user(POOL, "guest");
    other.apply_resource("guest", |_| ()).await;
    other.wait("guest", "False", "NotGranted").await;

    let of = |user| ["--user", user, "--pool", POOL];
    let test = |namespace, user| [&["test", "-n", namespace][..], &of(user)].concat();
    let (status, said) = grants(&admin, &test(ours, "bot")).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        flat(&said).contains(&format!("{ours} fits: in eu-west-1")),
        "{said}"
    );
    let (status, said) = grants(&admin, &test(theirs, "guest")).await;
    assert_eq!(status, 1, "{said}");
    let why = format!("namespaces.names has {ours}, and not {theirs}");
    assert!(flat(&said).contains(&why), "{said}");
    let tested = document(&admin, &test(theirs, "guest")).await;
    assert_eq!(tested["kind"], "GrantTest");
    assert_eq!(tested["admission"], "NotGranted");
    assert_eq!(tested["grants"][0]["name"], ours);
    let (status, said) = grants(&admin, &test("no-such-place", "bot")).await;
    assert_eq!(status, 1, "{said}");
    assert!(
        flat(&said).contains("there is no namespace no-such-place"),
        "{said}"
    );

    let (status, said) = grants(&admin, &[&["who"][..], &of("bot")].concat()).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        flat(&said).contains(&format!("{ours}/bot manages bot")),
        "{said}"
    );
    assert!(!said.contains(theirs), "{said}");
    let held = document(&admin, &[&["who"][..], &of("guest")].concat()).await;
    let namespaces = held["namespaces"].as_array().expect("a list");
    let of_theirs = namespaces.iter().find(|it| it["namespace"] == theirs);
    assert_eq!(of_theirs.expect("listed")["admission"], "NotGranted");

    // What the difference says comes true.
    let new = file(theirs, theirs, "guest");
    let new = new.to_str().expect("text");
    let (status, said) = grants(&admin, &["diff", "-f", new]).await;
    assert_eq!(status, 1, "{said}");
    assert!(
        flat(&said).contains(&format!("+ {theirs}/guest (guest of {POOL})")),
        "{said}"
    );
    world.plane.kubectl(&["apply", "-f", new]);
    other.wait("guest", "False", "SecretNotFound").await;
    let (status, said) = grants(&admin, &["diff", "-f", new]).await;
    assert_eq!(status, 0, "{said}");
    let gone = document(&admin, &["diff", "--delete", theirs]).await;
    assert_eq!(gone["resources"][0]["change"], "loses");
    assert_eq!(gone["resources"][0]["after"]["admission"], "NotGranted");
    assert_eq!(gone["patterns"][0]["namespaces"], json!([theirs]));
    other.revoke().await;
    other.wait("guest", "False", "NotGranted").await;
}

#[tokio::test]
async fn a_bad_file_is_refused_as_the_api_server_refuses_it() {
    let world = World::new("plugin-file").await;
    let admin = world.plane.kubeconfig_path();
    let path = file("bad", &world.namespace, "has space");
    let path = path.to_str().expect("text");
    let (status, said) = grants(&admin, &["diff", "-f", path]).await;
    assert_eq!(status, 2, "{said}");
    assert!(
        said.contains("grant bad: spec.usernames must consist of"),
        "{said}"
    );
    world
        .plane
        .try_kubectl(&["apply", "--dry-run=server", "-f", path], "")
        .expect_err("refused");
    let broken = scratch("grants").join("broken.yaml");
    fs::write(&broken, "kind: CognitoUserPoolGrant\nspec: [\n").expect("written");
    let (status, said) = grants(&admin, &["diff", "-f", broken.to_str().expect("text")]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("broken.yaml: line "), "{said}");
    let (status, said) = grants(&admin, &["diff", "-f", "/nonexistent.yaml"]).await;
    assert_eq!(status, 2, "{said}");
    let (status, said) = grants(&admin, &["test", "--user", "a", "--pool", "pool"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("--pool: "), "{said}");
}

#[tokio::test]
async fn a_caller_who_may_not_list_grants_hears_which_right_is_missing() {
    let world = World::new("plugin-blind").await;
    let callers = [
        tenant(&world, "viewer", VIEW),
        tenant(&world, "nobody", &[]),
    ];
    let missing = "you may not list cognitouserpoolgrants.cognito-password-operator.io -A";
    let path = file("more", &world.namespace, "bot");
    let path = path.to_str().expect("text");
    let of_user = ["--user", "bot", "--pool", POOL];
    for caller in &callers {
        let test = ["test", "-n", &*world.namespace];
        for args in [
            [&test[..], &of_user].concat(),
            [&["who"][..], &of_user].concat(),
            vec!["diff", "-f", path],
        ] {
            let (status, said) = grants(caller, &args).await;
            assert_eq!(status, 3, "{args:?}: {said}");
            assert!(flat(&said).contains(missing), "{args:?}: {said}");
        }
    }
}
