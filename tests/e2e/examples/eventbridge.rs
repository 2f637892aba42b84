//! The Lambda function that turns an event of `CloudTrail` into a request: run by Python, with moto as Cognito
//! and a real API server.

use std::process::{Command, Output};

use cognito_password_operator::core::access::iam::Feature;
use serde_json::{Value, json};

use super::{objects, read};
use crate::support::{ControlPlane, Moto, tools, tools::Tool};
use crate::world::REQUESTED_AT;

/// Calls the function as Lambda would. Only the access to EKS is replaced.
const CALL: &str = r#"
import json, ssl, sys
sys.path.insert(0, "deploy/examples/eventbridge")
import handler
url, authority, token, event = sys.argv[1:]
handler.cluster = lambda: (url, ssl.create_default_context(cafile=authority), token)
print(json.dumps(handler.handler(json.loads(event), None)))
"#;

/// A namespace with two resources of one pool, and the identity of the function.
struct Scene {
    plane: &'static ControlPlane,
    moto: &'static Moto,
    namespace: String,
    pool: String,
    token: String,
}

impl Scene {
    async fn new() -> Self {
        let plane = ControlPlane::shared();
        plane.install("deploy/");
        let namespace = plane.new_namespace("eventbridge").await;
        let moto = Moto::shared().await;
        let (pool, _) = moto.create_pool(&namespace, 8).await;
        moto.create_user(&pool, "ci-bot").await;
        plane.kubectl(&["apply", "-f", "deploy/examples/eventbridge/rbac.yaml"]);
        plane.kubectl(&["create", "serviceaccount", "events", "-n", &namespace]);
        // EKS would put the role into the group. Here the group is that of the namespace's service accounts.
        let mut binding = objects("eventbridge/rbac.yaml").remove(1);
        binding["metadata"]["name"] = json!(namespace);
        binding["subjects"][0]["name"] = json!(format!("system:serviceaccounts:{namespace}"));
        plane.kubectl_stdin(&["create", "-f", "-"], &binding.to_string());
        let token = plane.token_for(&namespace, "events");
        let scene = Self {
            plane,
            moto,
            namespace,
            pool,
            token,
        };
        for user in ["ci-bot", "other-bot"] {
            let resource = json!({
                "apiVersion": "cognito-password-operator.io/v1alpha1",
                "kind": "CognitoUserPassword",
                "metadata": { "name": user, "namespace": scene.namespace },
                "spec": {
                    "userPoolId": scene.pool,
                    "username": user,
                    "passwordSecretRef": { "name": "none" },
                },
            });
            plane.kubectl_stdin(&["create", "-f", "-"], &resource.to_string());
        }
        scene
    }

    async fn sub(&self, username: &str) -> String {
        let request = self.moto.sdk().admin_get_user();
        let user = request.user_pool_id(&self.pool).username(username);
        let user = user.send().await.expect("the user is there");
        let mut attributes = user.user_attributes().iter();
        let sub = attributes.find(|attribute| attribute.name() == "sub");
        let sub = sub.and_then(|attribute| attribute.value());
        sub.expect("each user has a sub").to_owned()
    }

    /// The function's answer to an event about the user with this sub.
    fn call(&self, sub: &str) -> Output {
        let (region, _) = self.pool.split_once('_').expect("a pool's id");
        let event = json!({
            "id": "ed240aa1-2404-4a40-ac48-0abd944ebd94",
            "source": "aws.cognito-idp",
            "detail-type": "AWS API Call via CloudTrail",
            "detail": {
                "eventSource": "cognito-idp.amazonaws.com",
                "eventName": "AdminResetUserPassword",
                "awsRegion": region,
                "requestParameters": {
                    "userPoolId": self.pool,
                    "username": "HIDDEN_DUE_TO_SECURITY_REASONS",
                },
                "additionalEventData": { "sub": sub },
            },
        });
        let kubeconfig = std::fs::read_to_string(self.plane.kubeconfig_path());
        let kubeconfig = kubeconfig.expect("the kubeconfig can be read");
        let kubeconfig: Value = serde_saphyr::from_str(&kubeconfig).expect("it is YAML");
        let authority = &kubeconfig["clusters"][0]["cluster"]["certificate-authority"];
        // moto's environment has the AWS SDK for Python.
        Command::new(tools::path(Tool::MotoServer).with_file_name("python3"))
            .args(["-B", "-c", CALL])
            .arg(self.plane.url())
            .arg(authority.as_str().expect("a path"))
            .arg(&self.token)
            .arg(event.to_string())
            .current_dir(tools::checkout())
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.moto.url())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .expect("python3 can be started")
    }

    fn requested_at(&self, name: &str) -> Value {
        let get = ["get", "cup", name, "-n", &self.namespace, "-o", "json"];
        let object: Value = serde_json::from_str(&self.plane.kubectl(&get)).expect("JSON");
        object["metadata"]["annotations"][REQUESTED_AT].clone()
    }
}

#[tokio::test]
async fn an_event_about_a_user_asks_for_a_set_of_that_user_only() {
    let scene = Scene::new().await;
    let sub = scene.sub("ci-bot").await;
    let output = scene.call(&sub);
    assert!(output.status.success(), "{output:?}");
    let asked: Value = serde_json::from_slice(&output.stdout).expect("the function's answer");
    assert_eq!(asked, json!([format!("{}/ci-bot", scene.namespace)]));
    assert_eq!(
        scene.requested_at("ci-bot"),
        "ed240aa1-2404-4a40-ac48-0abd944ebd94"
    );
    assert_eq!(scene.requested_at("other-bot"), Value::Null);
}

/// Lambda calls the function again, because `ListUsers` doesn't show a new user at once.
#[tokio::test]
async fn an_event_about_an_unknown_user_fails_so_that_lambda_tries_again() {
    let scene = Scene::new().await;
    let output = scene.call("5f6c1d3e-0000-4000-8000-000000000000");
    assert!(!output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("LookupError"), "{told}");
    assert_eq!(scene.requested_at("ci-bot"), Value::Null);
}

/// Otherwise each set would ask for the next one.
#[test]
fn no_call_of_the_operator_matches_the_rule() {
    let rule: Value = serde_json::from_str(&read("eventbridge/rule.json")).expect("JSON");
    let names = rule["detail"]["eventName"].as_array().expect("names");
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"AdminResetUserPassword"), "{names:?}");
    let called = Feature::ALL.iter().flat_map(|feature| feature.actions());
    for action in called {
        let (_, name) = action.split_once(':').expect("service:Action");
        assert!(!names.contains(&name), "{action}");
    }
}
