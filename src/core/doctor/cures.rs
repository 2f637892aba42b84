//! The table of reasons made concrete: what mends one resource, as commands with the resource's own names.
//!
//! Where a password is needed, the commands take it from the shell's variable `PASSWORD`, so that no password
//! stands in a command line.

use super::{
    chain::Subject,
    facts::FoundSecret,
    words::{shown, word},
};
use crate::{
    api::{Class, FIELD_MANAGER, REQUESTED_AT, Reason},
    core::{checkup::finding::Cure, credential::password::InvalidValue, names::region::Regions},
};
use serde_json::json;

/// What a cure may know beside the resource itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The Secret, if the caller may read it.
    pub secret: Option<&'a FoundSecret>,
    /// The grants that fit.
    pub fitting: &'a [String],
    /// `namespace/name` of the older resource of the same user.
    pub older: Option<&'a str>,
    /// The operator's namespace and Deployment, if known.
    pub operator: Option<(&'a str, &'a str)>,
    /// The role that the operator assumes for this resource.
    pub role: Option<&'a str>,
    /// The Region of the calls, if known.
    pub region: Option<&'a str>,
    /// Whether the status says that a person must act, whatever the class of the reason.
    pub is_stalled: bool,
    /// When the next try is due, as the end of a sentence.
    pub next_try: Option<&'a str>,
}

/// The resource's names, each as one word of a shell's command.
struct Words {
    namespace: String,
    name: String,
    pool: String,
    username: String,
    secret: String,
    key: String,
    region: String,
}

impl Words {
    fn new(subject: &Subject<'_>, known: &Known<'_>) -> Self {
        let spec = &subject.resource.spec;
        let reference = &spec.password_secret_ref;
        let own = subject.target.as_ref().map(|it| it.pool.region());
        let own = own.filter(|it| Regions::OfAws.include(it));
        let region = known.region.or(own.as_ref().map(|it| it.as_str()));
        Self {
            namespace: word(subject.namespace, "NAMESPACE"),
            name: word(subject.name, "RESOURCE"),
            pool: word(&spec.user_pool_id, "POOL"),
            username: word(&spec.username, "USERNAME"),
            secret: word(&reference.name, "SECRET"),
            key: word(&reference.key, "KEY"),
            region: region.map_or_else(String::new, |it| {
                format!(" --region {}", word(it, "REGION"))
            }),
        }
    }

    fn patch(&self, patch: &serde_json::Value) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        let patch = word(&patch.to_string(), "PATCH");
        format!("kubectl patch cup {name} -n {namespace} --type=merge -p {patch}")
    }

    fn request(&self) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        format!("kubectl annotate cup {name} -n {namespace} --overwrite {REQUESTED_AT}=$(date +%s)")
    }

    /// `aws cognito-idp OPERATION` on the pool.
    fn pool(&self, operation: &str) -> String {
        let (pool, region) = (&self.pool, &self.region);
        format!("aws cognito-idp {operation} --user-pool-id {pool}{region}")
    }

    /// `aws cognito-idp OPERATION` on the user.
    fn user(&self, operation: &str) -> String {
        format!("{} --username {}", self.pool(operation), self.username)
    }

    /// Creates the Secret with the value of `PASSWORD`.
    fn create_secret(&self) -> String {
        let (secret, namespace, key) = (&self.secret, &self.namespace, &self.key);
        format!(
            "printf %s \"$PASSWORD\" | kubectl create secret generic {secret} -n {namespace} --from-file={key}=/dev/stdin"
        )
    }

    /// Puts the output of `source` into the Secret's key.
    fn patch_secret(&self, source: &str) -> String {
        let (secret, namespace, key) = (&self.secret, &self.namespace, &self.key);
        format!(
            "printf '{{\"data\":{{\"%s\":\"%s\"}}}}' {key} \"$({source} | base64 | tr -d '\\n')\" | kubectl patch secret {secret} -n {namespace} --patch-file=/dev/stdin"
        )
    }

    /// Puts the value of `PASSWORD` into the Secret's key.
    fn set_value(&self) -> String {
        self.patch_secret("printf %s \"$PASSWORD\"")
    }

    /// Takes line breaks out of the present value.
    fn strip_value(&self) -> String {
        let (secret, namespace) = (&self.secret, &self.namespace);
        let path = format!("'{{.data.{}}}'", self.key.replace('.', "\\."));
        self.patch_secret(&format!(
            "kubectl get secret {secret} -n {namespace} -o jsonpath={path} | base64 -d | tr -d '\\r\\n'"
        ))
    }

    fn watch(&self) -> String {
        format!("kubectl get cup {} -n {} -w", self.name, self.namespace)
    }
}

const NEW_VALUE: &str =
    "put a new value into the Secret, from the shell's variable PASSWORD (read -rs PASSWORD)";

/// The command that ends a suspension.
#[must_use]
pub fn resume(subject: &Subject<'_>) -> String {
    Words::new(subject, &Known::default()).patch(&json!({ "spec": { "suspend": false } }))
}

/// What mends a resource of this reason. None if nothing is to be mended.
#[must_use]
pub fn cure(reason: Reason, subject: &Subject<'_>, known: &Known<'_>) -> Option<Cure> {
    let words = Words::new(subject, known);
    let (text, commands) = match reason {
        Reason::PasswordSet | Reason::AppliedAfterLostReply => return None,
        Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::InvalidSecretValue => {
            of_secret(reason, &words, known)
        }
        Reason::NotGranted | Reason::AmbiguousGrant | Reason::UnknownRegion => {
            of_grant(reason, subject, &words, known)
        }
        Reason::UserDisabled
        | Reason::UserGone
        | Reason::UserRecreated
        | Reason::UserUnconfirmed
        | Reason::PasswordReset
        | Reason::FederatedUser
        | Reason::Contested
        | Reason::TemporaryPasswordExpired => of_user(reason, &words),
        Reason::AccessDenied | Reason::InvalidCredentials | Reason::Unreachable => {
            of_identity(reason, &words, known)
        }
        Reason::DuplicateUser => of_duplicate(&words, known),
        _ if is_waited_for(reason, known) => wait(reason, &words, known),
        Reason::Progressing
        | Reason::InternalError
        | Reason::InvalidParameter
        | Reason::InvalidPassword
        | Reason::PasswordHistoryPolicyViolation
        | Reason::NotAuthorized
        | Reason::OperationNotEnabled
        | Reason::ResourceNotFound
        | Reason::UserNotFound
        | Reason::TooManyRequests
        | Reason::UnhandledError
        | Reason::OutcomeUnknown
        | Reason::NotConfirmed
        | Reason::RevokingSessions => of_reply(reason, &words, known),
    };
    Some(Cure {
        text,
        commands,
        page: Some(page(reason)),
    })
}

/// The section of docs/reasons.md.
#[must_use]
pub fn page(reason: Reason) -> String {
    format!("reasons.md#{}", reason.as_str().to_lowercase())
}

/// Whether the operator goes on by itself, and nobody else can do anything.
fn is_waited_for(reason: Reason, known: &Known<'_>) -> bool {
    let by_itself = matches!(reason.class(), Class::Transient | Class::Unknown);
    by_itself && !known.is_stalled && reason != Reason::Unreachable
}

fn wait(reason: Reason, words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let next = known.next_try.map(|it| format!(", {it}"));
    let next = next.unwrap_or_default();
    let text = match reason {
        Reason::RevokingSessions => {
            format!("wait: the operator ends the sessions by itself{next}")
        }
        Reason::TooManyRequests => format!(
            "wait: the operator tries again by itself{next}; if the throttling lasts, lower --cognito-rps, or find who else calls Cognito in this account"
        ),
        Reason::UnhandledError => format!(
            "wait: the operator tries again by itself{next}; if the error stays, follow AWS's words above"
        ),
        Reason::Progressing => {
            format!("wait: a set takes milliseconds, but for the rate limit or a quarantine{next}")
        }
        _ => format!("wait: the operator sends the same value again by itself{next}"),
    };
    let mut commands = vec![words.watch()];
    if let (Reason::TooManyRequests, Some((namespace, name))) = (reason, known.operator) {
        commands.push(format!(
            "kubectl set env deployment/{name} -n {namespace} CPO_COGNITO_RPS=5"
        ));
    }
    (text, commands)
}

fn of_secret(reason: Reason, words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let owner = known.secret.and_then(|it| it.owner.as_deref());
    let at_source = owner.map(|owner| {
        format!(
            ". {} makes the Secret, so mend the value at its source too",
            shown(owner)
        )
    });
    let at_source = at_source.unwrap_or_default();
    match reason {
        Reason::SecretNotFound => {
            let unfit = known.secret.and_then(|it| it.unfit.first());
            match (unfit, known.secret) {
                (Some(selector), _) => (
                    format!("give the Secret the labels that the operator looks for{at_source}"),
                    vec![label(words, selector)],
                ),
                (None, Some(_)) => (
                    "give the Secret the labels that the message names".to_owned(),
                    vec![label(words, "")],
                ),
                (None, None) => (
                    "create the Secret, with the password from the shell's variable PASSWORD (read -rs PASSWORD), or correct spec.passwordSecretRef.name".to_owned(),
                    vec![words.create_secret()],
                ),
            }
        }
        Reason::SecretKeyNotFound => match known.secret.map(|it| &*it.keys) {
            Some([only]) => {
                let reference = json!({ "spec": { "passwordSecretRef": { "key": only } } });
                (
                    format!(
                        "name the key that the Secret has, or add the key {}{at_source}",
                        words.key
                    ),
                    vec![words.patch(&reference), words.set_value()],
                )
            }
            _ => {
                let reference = json!({ "spec": { "passwordSecretRef": { "key": "KEY" } } });
                (
                    format!(
                        "name one of the Secret's keys as KEY, or add the key, with the password from the shell's variable PASSWORD (read -rs PASSWORD){at_source}"
                    ),
                    vec![words.patch(&reference), words.set_value()],
                )
            }
        },
        _ => match known.secret.and_then(|it| it.value) {
            Some(Err(InvalidValue::TrailingLineBreak)) => (
                format!("take the line break out of the value{at_source}"),
                vec![words.strip_value()],
            ),
            _ => (format!("{NEW_VALUE}{at_source}"), vec![words.set_value()]),
        },
    }
}

/// The command that gives the Secret the labels of a selector such as `a=b,c=d`.
fn label(words: &Words, selector: &str) -> String {
    let (secret, namespace) = (&words.secret, &words.namespace);
    let is_plain = !selector.is_empty() && !selector.contains(['(', '!', ' ']);
    let labels: Vec<_> = if is_plain {
        let parts = selector.split(',');
        parts
            .map(|part| match part.split_once('=') {
                Some((key, value)) => word(
                    &format!("{key}={}", value.trim_start_matches('=')),
                    "LABEL=VALUE",
                ),
                None => word(&format!("{part}=true"), "LABEL=VALUE"),
            })
            .collect()
    } else {
        vec!["LABEL=VALUE".to_owned()]
    };
    format!(
        "kubectl label secret {secret} -n {namespace} {}",
        labels.join(" ")
    )
}

fn of_grant(
    reason: Reason,
    subject: &Subject<'_>,
    words: &Words,
    known: &Known<'_>,
) -> (String, Vec<String>) {
    match reason {
        Reason::AmbiguousGrant => {
            let names = known.fitting.iter().map(|it| word(it, "GRANT"));
            let names = names.collect::<Vec<_>>().join(" ");
            let mut commands = vec![format!("kubectl get cupg {names} -o wide").replace("  ", " ")];
            commands.extend(
                known
                    .fitting
                    .iter()
                    .skip(1)
                    .map(|it| format!("kubectl delete cupg {}", word(it, "GRANT"))),
            );
            (
                "ask your platform team to make these grants agree, or to delete all but one"
                    .to_owned(),
                commands,
            )
        }
        Reason::UnknownRegion => {
            let grant = known.fitting.first().map_or("GRANT", String::as_str);
            (
                "name the pool as AWS does (in a new resource), or have the grant name the pool's Region"
                    .to_owned(),
                vec![format!(
                    "kubectl patch cupg {} --type=merge -p '{{\"spec\":{{\"region\":\"REGION\"}}}}'",
                    word(grant, "GRANT")
                )],
            )
        }
        _ => {
            let (namespace, username, pool) = (&words.namespace, &words.username, &words.pool);
            (
                "ask your platform team for a CognitoUserPoolGrant; the second command makes one, for who may. The operator acts as soon as the grant exists".to_owned(),
                vec![
                    format!(
                        "kubectl cognito-password grants test -n {namespace} --user {username} --pool {pool}"
                    ),
                    format!("echo {} | kubectl create -f -", word(&grant(subject), "GRANT")),
                ],
            )
        }
    }
}

/// A grant for exactly this user and namespace, as JSON.
fn grant(subject: &Subject<'_>) -> String {
    let spec = &subject.resource.spec;
    // In a grant, these two characters are wildcards.
    let username = spec.username.replace(['*'], "?");
    let name = format!("{}.{}", subject.namespace, subject.name);
    json!({
        "apiVersion": format!("{}/{}", crate::api::GROUP, crate::api::VERSION),
        "kind": "CognitoUserPoolGrant",
        "metadata": { "name": name },
        "spec": {
            "userPoolId": spec.user_pool_id,
            "usernames": [username],
            "namespaces": { "names": [subject.namespace] },
        },
    })
    .to_string()
}

fn of_duplicate(words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let (name, namespace) = (&words.name, &words.namespace);
    let mut commands = vec![format!("kubectl delete cup {name} -n {namespace}")];
    if let Some((namespace, name)) = known.older.and_then(|it| it.split_once('/')) {
        commands.push(format!(
            "kubectl delete cup {} -n {}",
            word(name, "RESOURCE"),
            word(namespace, "NAMESPACE")
        ));
    } else {
        commands.push(format!(
            "kubectl get cup -A --field-selector spec.userPoolId={}",
            words.pool
        ));
    }
    (
        "delete one of the two: this one, or the older one, after which this one sets its own value".to_owned(),
        commands,
    )
}

fn of_user(reason: Reason, words: &Words) -> (String, Vec<String>) {
    let get = words.user("admin-get-user");
    match reason {
        Reason::UserDisabled => (
            "enable the user, or suspend this resource; the operator looks again by itself"
                .to_owned(),
            vec![
                words.user("admin-enable-user"),
                words.patch(&json!({ "spec": { "suspend": true } })),
            ],
        ),
        Reason::UserGone => (
            "create the user again, and then ask for a set; or delete this resource".to_owned(),
            vec![
                words.user("admin-create-user") + " --message-action SUPPRESS",
                words.request(),
                format!("kubectl delete cup {} -n {}", words.name, words.namespace),
            ],
        ),
        Reason::UserUnconfirmed => (
            "make sure that the user is the one that this resource means, otherwise delete the user and create the right one; then ask for a set".to_owned(),
            vec![get, words.user("admin-delete-user"), words.request()],
        ),
        Reason::PasswordReset => (
            "ask for a set, or have the operator correct the password by itself from now on"
                .to_owned(),
            vec![
                words.request(),
                words.patch(&json!({ "spec": { "drift": "Correct" } })),
            ],
        ),
        Reason::FederatedUser => (
            "name a native user, in a new resource; or let the operator make this user a native one, and ask for a set".to_owned(),
            vec![
                get,
                words.patch(&json!({ "spec": { "federatedUser": "Allow" } })),
                words.request(),
            ],
        ),
        Reason::Contested => (
            "find out who changes the user, and then ask for a set".to_owned(),
            vec![
                format!(
                    "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=AdminResetUserPassword{}",
                    words.region
                ),
                format!(
                    "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=AdminSetUserPassword{}",
                    words.region
                ),
                words.request(),
            ],
        ),
        Reason::TemporaryPasswordExpired => (
            "ask for a set of the same value, or put a new value into the Secret, from the shell's variable PASSWORD (read -rs PASSWORD)".to_owned(),
            vec![words.request(), words.set_value()],
        ),
        // UserRecreated.
        _ => (
            "make sure that the present user is the one that this resource means, and then ask for a set".to_owned(),
            vec![get, words.request()],
        ),
    }
}

fn of_identity(reason: Reason, words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let namespace = known.operator.map_or(FIELD_MANAGER, |it| it.0);
    let of_role = known.role.map(|role| {
        let name = role.rsplit('/').next().unwrap_or_default();
        word(name, "ROLE")
    });
    match (reason, of_role) {
        (Reason::AccessDenied, role) => {
            let role = role.unwrap_or_else(|| "ROLE".to_owned());
            (
                "allow the action that the message names on the pool, in the policy of the role that the message names, and then ask for a set. The second command prints the policy".to_owned(),
                vec![
                    format!("aws iam list-role-policies --role-name {role}"),
                    format!(
                        "cognito-password-operator iam-policy --pool-arn $({} --query UserPool.Arn --output text)",
                        words.pool("describe-user-pool")
                    ),
                    words.request(),
                ],
            )
        }
        (Reason::InvalidCredentials, Some(role)) => (
            "let the trust policy of the grant's role name the operator's identity, and let the operator's own policy allow sts:AssumeRole on the role; the operator tries again by itself".to_owned(),
            vec![
                format!("aws iam get-role --role-name {role} --query Role.AssumeRolePolicyDocument"),
                "kubectl get cupg -o wide".to_owned(),
            ],
        ),
        (Reason::InvalidCredentials, None) => (
            "give the operator's ServiceAccount a role by EKS Pod Identity or IRSA, and restart its pods: one of these variables must be there".to_owned(),
            vec![
                format!(
                    "kubectl get pods -n {namespace} -o yaml | grep -E 'AWS_ROLE_ARN|AWS_CONTAINER_CREDENTIALS_FULL_URI'"
                ),
                format!(
                    "kubectl rollout restart deployment/{} -n {namespace}",
                    known.operator.map_or(FIELD_MANAGER, |it| it.1)
                ),
            ],
        ),
        // Unreachable.
        _ => {
            let region = words.region.trim_start_matches(" --region ");
            let region = if region.is_empty() { "REGION" } else { region };
            let next = known.next_try.map(|it| format!(", {it}"));
            (
                format!(
                    "let the operator's pods reach cognito-idp.{region}.amazonaws.com:443: DNS, proxy, NetworkPolicy, CA certificates; the operator tries again by itself{}",
                    next.unwrap_or_default()
                ),
                vec![
                    format!("kubectl get networkpolicies -n {namespace} -o wide"),
                    format!(
                        "kubectl run dns-test --rm -i --restart=Never --image=busybox -n {namespace} -- nslookup cognito-idp.{region}.amazonaws.com"
                    ),
                ],
            )
        }
    }
}

fn of_reply(reason: Reason, words: &Words, known: &Known<'_>) -> (String, Vec<String>) {
    let describe = words.pool("describe-user-pool");
    match reason {
        Reason::InvalidPassword => (
            format!("{NEW_VALUE} that fits the policy; or change the policy, and then ask for a set"),
            vec![
                format!("{describe} --query UserPool.Policies.PasswordPolicy"),
                words.set_value(),
                words.request(),
            ],
        ),
        Reason::InvalidParameter => (
            "correct the value in the Secret, from the shell's variable PASSWORD (read -rs PASSWORD), if the message speaks of the password; for another pool or username, make a new resource".to_owned(),
            vec![words.set_value()],
        ),
        Reason::NotAuthorized => (
            "enable the user, or correct the pool; the operator tries again by itself, and at once if you ask".to_owned(),
            vec![words.user("admin-enable-user"), words.request()],
        ),
        Reason::OperationNotEnabled => (
            "use the pool's primary Region (in a new resource, or by the grant's spec.region), or correct the pool's configuration; then ask for a set".to_owned(),
            vec![describe, words.request()],
        ),
        Reason::ResourceNotFound => {
            let of_role = known.role.map_or_else(
                || "the operator's own account; a pool of another account needs a grant with spec.roleArn".to_owned(),
                |role| format!("the account of {}", shown(role)),
            );
            (
                format!(
                    "correct spec.userPoolId (in a new resource), or create the pool. The operator looks in {of_role}"
                ),
                vec![describe, words.request()],
            )
        }
        Reason::UserNotFound => (
            "create the user, and then ask for a set. If the user exists, the name is an alias: use the username or the sub that the first command prints, in a new resource".to_owned(),
            vec![
                words.user("admin-get-user"),
                words.user("admin-create-user") + " --message-action SUPPRESS",
                words.request(),
            ],
        ),
        Reason::OutcomeUnknown => (
            format!("if the user can't sign in, {NEW_VALUE}, or have the operator send this value again"),
            vec![words.set_value(), words.request()],
        ),
        Reason::Progressing | Reason::TooManyRequests | Reason::UnhandledError => (
            "read the message above, and then ask for a set".to_owned(),
            vec![words.request()],
        ),
        // PasswordHistoryPolicyViolation, NotConfirmed, InternalError, RevokingSessions.
        _ => (NEW_VALUE.to_owned(), vec![words.set_value()]),
    }
}
