//! Users' own kustomizations on top of deploy/.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{ControlPlane, tools};

/// A user's kustomization. The directory is below target/, because kustomize wants a relative path to
/// deploy/.
pub(crate) struct Overlay {
    directory: tempfile::TempDir,
}

impl Overlay {
    fn new(files: &[(&str, &str)]) -> Self {
        let target = tools::checkout().join("target");
        let directory = tempfile::Builder::new()
            .prefix("overlay-")
            .tempdir_in(target)
            .expect("a directory");
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).expect("a file");
        }
        Self { directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn render(&self, plane: &ControlPlane) -> Result<Vec<Value>, String> {
        let path = self.path();
        let text = plane.try_kubectl(&["kustomize", &path.to_string_lossy()], "")?;
        Ok(serde_saphyr::from_multiple(&text).expect("kubectl writes YAML"))
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(tools::checkout().join(path)).expect("a part of the checkout")
}

fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().expect("there is one");
    assert!(found.next().is_none(), "{objects:#?}");
    object
}

const RESOURCE: &str = "
apiVersion: cognito-password-operator.io/v1alpha1
kind: CognitoUserPassword
metadata:
  name: ci-bot
  namespace: team-a
spec:
  userPoolId: eu-west-1_AbCdEf123
  username: ci-bot
  passwordSecretRef:
    name: ci-bot-credentials
";

/// The kustomization of docs/gitops.md.
fn documented_kustomization() -> String {
    let page = read("docs/gitops.md");
    let yaml = page.split("```yaml\n").skip(1);
    let blocks = yaml.filter_map(|rest| rest.split("```").next());
    let mut of_secrets = blocks.filter(|block| block.contains("secretGenerator:"));
    of_secrets.next().expect("the page shows one").to_owned()
}

#[tokio::test]
async fn a_generated_secrets_name_is_followed() {
    let plane = ControlPlane::shared();
    let kustomization = documented_kustomization();
    let rule = read("deploy/kustomize/name-reference.yaml");
    let mut names = Vec::new();
    for password in ["First-Passw0rd", "Second-Passw0rd"] {
        let overlay = Overlay::new(&[
            ("kustomization.yaml", &kustomization),
            ("name-reference.yaml", &rule),
            ("ci-bot.yaml", RESOURCE),
            ("password", password),
        ]);
        let objects = overlay.render(plane).expect("it renders");
        let secret = &only(&objects, "Secret")["metadata"]["name"];
        let resource = only(&objects, "CognitoUserPassword");
        assert_eq!(&resource["spec"]["passwordSecretRef"]["name"], secret);
        assert_ne!(secret, "ci-bot-credentials");
        names.push(secret.clone());
    }
    assert_ne!(names[0], names[1]);
}

pub(crate) fn over(base: &str, more: &str) -> Overlay {
    let base = Path::new("../..").join(base);
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - {}\n{more}",
        base.display()
    );
    Overlay::new(&[("kustomization.yaml", &text)])
}

/// Moved there, these rights would allow the operator to read every Secret of its own namespace.
#[tokio::test]
async fn rights_on_a_watched_namespace_cant_be_moved_into_the_operators() {
    let plane = ControlPlane::shared();
    for namespace in ["cognito-password-operator", "elsewhere"] {
        let overlay = over(
            "deploy/watch-namespaces",
            &format!("namespace: {namespace}\n"),
        );
        let refused = overlay.render(plane).expect_err("kustomize refuses it");
        assert!(refused.contains("ID conflict"), "{refused}");
    }
    // Without the kustomization, each object stays in its namespace.
    let objects = over("deploy/watch-namespaces", "").render(plane);
    let objects = objects.expect("it renders");
    let roles: Vec<_> = objects
        .iter()
        .filter(|object| object["kind"] == "Role")
        .collect();
    assert_eq!(roles.len(), 2, "{roles:#?}");
    for role in roles {
        let granted = role["rules"].as_array().expect("rules");
        let reads_all = granted.iter().any(|rule| {
            let has = |field: &str, word: &str| {
                let list = rule[field].as_array().expect("a list");
                list.iter().any(|entry| entry == word)
            };
            has("resources", "secrets") && has("verbs", "list")
        });
        let watched = role["metadata"]["namespace"] == "team-a";
        assert_eq!(reads_all, watched, "{role:#}");
    }
}

/// An unedited example sets no password, because everybody knows the passwords of examples.
#[tokio::test]
async fn an_unedited_example_sets_no_password() {
    use cognito_password_operator::core::credential::password::Password;

    let mut secrets = 0;
    for path in crate::examples::files() {
        let text = std::fs::read_to_string(path).expect("a file");
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for secret in objects.iter().filter(|object| object["kind"] == "Secret") {
            secrets += 1;
            assert_eq!(secret["data"], Value::Null, "{secret:#}");
            for (key, value) in secret["stringData"].as_object().expect("values") {
                let value = value.as_str().expect("text");
                let parsed = Password::parse(value.as_bytes());
                parsed.expect_err(&format!("{key} could be a password"));
            }
        }
    }
    assert!(secrets > 0, "the examples have no Secret any more");
}
