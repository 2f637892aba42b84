//! Commands with the resource's own names. A password comes from the shell's variable `PASSWORD`, so that no
//! password stands in a command line.

use super::known::Known;
use crate::{
    api::REQUESTED_AT,
    core::{
        doctor::{subject::Subject, words::word},
        names::{region::Regions, target::Region},
    },
};

/// Where the commands take a new password from.
pub(super) const NEW_VALUE: &str =
    "put a new value into the Secret, from the shell's variable PASSWORD (read -rs PASSWORD)";

/// The resource's names, each as one word of a shell's command.
pub(super) struct Words {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) pool: String,
    /// The pool's id as the spec has it, for comparisons.
    pub(super) plain_pool: String,
    pub(super) username: String,
    pub(super) secret: String,
    pub(super) key: String,
    pub(super) region: String,
    /// Whether the API server refuses each change of the Secret's data.
    is_immutable: bool,
}

/// Ends the command before it writes an empty password.
const GUARD: &str = r#": "${PASSWORD:?run read -rs PASSWORD first}" && "#;

impl Words {
    pub(super) fn new(subject: &Subject<'_>, known: &Known<'_>) -> Self {
        let spec = &subject.resource.spec;
        let reference = &spec.password_secret_ref;
        let own = subject.target.as_ref().map(|it| it.pool.region());
        let own = own.filter(|it| Regions::OfAws.include(it));
        let region = known.region.or(own.as_ref().map(Region::as_str));
        Self {
            namespace: word(subject.namespace, "NAMESPACE"),
            name: word(subject.name, "RESOURCE"),
            pool: word(&spec.user_pool_id, "POOL"),
            plain_pool: spec.user_pool_id.clone(),
            username: word(&spec.username, "USERNAME"),
            secret: word(&reference.name, "SECRET"),
            key: word(&reference.key, "KEY"),
            region: region.map_or_else(String::new, |it| {
                format!(" --region {}", word(it, "REGION"))
            }),
            is_immutable: known.secret.is_some_and(|it| it.is_immutable),
        }
    }

    pub(super) fn patch(&self, patch: &serde_json::Value) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        let patch = word(&patch.to_string(), "PATCH");
        format!("kubectl patch cup {name} -n {namespace} --type=merge -p {patch}")
    }

    pub(super) fn request(&self) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        format!("kubectl annotate cup {name} -n {namespace} --overwrite {REQUESTED_AT}=$(date +%s)")
    }

    /// `aws cognito-idp OPERATION` on the pool.
    pub(super) fn pool(&self, operation: &str) -> String {
        let (pool, region) = (&self.pool, &self.region);
        format!("aws cognito-idp {operation} --user-pool-id {pool}{region}")
    }

    /// `aws cognito-idp OPERATION` on the user.
    pub(super) fn user(&self, operation: &str) -> String {
        format!("{} --username {}", self.pool(operation), self.username)
    }

    /// Creates the Secret with the value of `PASSWORD`.
    pub(super) fn create_secret(&self) -> String {
        let (secret, namespace, key) = (&self.secret, &self.namespace, &self.key);
        format!(
            "{GUARD}printf %s \"$PASSWORD\" | kubectl create secret generic {secret} -n {namespace} --from-file={key}=/dev/stdin"
        )
    }

    /// Puts the output of `source` into the Secret's key. An immutable Secret is made anew, with its other keys.
    pub(super) fn patch_secret(&self, source: &str) -> String {
        let (secret, namespace, key) = (&self.secret, &self.namespace, &self.key);
        let data = format!(
            "printf '{{\"data\":{{\"%s\":\"%s\"}}}}' {key} \"$({source} | base64 | tr -d '\\n')\""
        );
        if self.is_immutable {
            format!(
                "{data} | kubectl patch --local -f <(kubectl get secret {secret} -n {namespace} -o yaml) --type=merge --patch-file=/dev/stdin -o yaml | kubectl replace --force -f -"
            )
        } else {
            format!("{data} | kubectl patch secret {secret} -n {namespace} --patch-file=/dev/stdin")
        }
    }

    /// Puts the value of `PASSWORD` into the Secret's key.
    pub(super) fn set_value(&self) -> String {
        format!("{GUARD}{}", self.patch_secret("printf %s \"$PASSWORD\""))
    }

    /// Takes line breaks out of the present value.
    pub(super) fn strip_value(&self) -> String {
        let (secret, namespace) = (&self.secret, &self.namespace);
        let path = format!("'{{.data.{}}}'", self.key.replace('.', "\\."));
        self.patch_secret(&format!(
            "kubectl get secret {secret} -n {namespace} -o jsonpath={path} | base64 -d | tr -d '\\r\\n'"
        ))
    }

    /// Makes the resource anew with another pool or username, neither of which can change in place. `field` is a
    /// field of the spec.
    pub(super) fn anew(&self, field: &str, value: &str) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        // In the output of kubectl, only a field of the spec stands behind exactly two blanks.
        let script = word(&format!("s|^  {field}: .*|  {field}: {value}|"), "SCRIPT");
        format!(
            "kubectl get cup {name} -n {namespace} -o yaml | sed {script} | kubectl replace --force -f -"
        )
    }

    /// The same, with the value of the shell's variable, without which nothing is deleted.
    pub(super) fn anew_with(&self, field: &str, variable: &str) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        format!(
            ": \"${{{variable}:?set {variable} first}}\" && kubectl get cup {name} -n {namespace} -o yaml | sed \"s|^  {field}: .*|  {field}: ${variable}|\" | kubectl replace --force -f -"
        )
    }

    pub(super) fn create_user(&self) -> String {
        self.user("admin-create-user") + " --message-action SUPPRESS"
    }

    pub(super) fn delete(&self) -> String {
        format!("kubectl delete cup {} -n {}", self.name, self.namespace)
    }

    pub(super) fn watch(&self) -> String {
        format!("kubectl get cup {} -n {} -w", self.name, self.namespace)
    }
}
