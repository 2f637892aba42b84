//! What the operator needs of AWS, as the IAM policies that give it this and nothing more. The table
//! of [`Feature`]s is where each action stands; the `iam-policy` command prints it, docs/iam.md shows
//! what that prints, and the tests compare it with the calls that were made.
use crate::core::names::arn::{ClusterArn, OidcProviderArn, PoolArn, RoleArn};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What the operator calls its sessions of the roles that it assumes: `CloudTrail` shows it, and a
/// role's trust policy can ask for it.
pub const SESSION_NAME: &str = "cognito-password-operator";

/// What is done with AWS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// Passwords are set.
    SetPasswords,
    /// Roles are assumed, where grants name some.
    AssumeRoles,
    /// The tags that EKS Pod Identity puts on a session go along into each role that it assumes; STS
    /// asks for this right too, although nobody calls it.
    PassSessionTags,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SetPasswords, Self::AssumeRoles, Self::PassSessionTags];

    /// The actions that it takes.
    #[must_use]
    pub const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::SetPasswords => &["cognito-idp:AdminSetUserPassword"],
            Self::AssumeRoles => &["sts:AssumeRole"],
            Self::PassSessionTags => &["sts:TagSession"],
        }
    }

    const fn sid(self) -> &'static str {
        match self {
            Self::SetPasswords => "SetPasswords",
            Self::AssumeRoles => "AssumeRoles",
            Self::PassSessionTags => "PassSessionTags",
        }
    }
}

/// A policy document. Equal rights are the same bytes, whatever order they were asked for in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    principal: BTreeMap<&'static str, String>,
    action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl fmt::Display for Document {
    /// As JSON, over several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        f.write_str(&json)
    }
}

impl Document {
    fn of(statement: impl IntoIterator<Item = Statement>) -> Self {
        Self {
            version: "2012-10-17",
            statement: statement.into_iter().collect(),
        }
    }
}

impl Statement {
    fn allow(sid: &'static str, action: &[&'static str]) -> Self {
        Self {
            sid,
            effect: "Allow",
            principal: BTreeMap::new(),
            action: action.to_vec(),
            resource: Vec::new(),
            condition: BTreeMap::new(),
        }
    }

    fn on(feature: Feature, resource: impl Iterator<Item = impl Into<String>>) -> Self {
        Self {
            resource: resource.map(Into::into).collect(),
            ..Self::allow(feature.sid(), feature.actions())
        }
    }

    fn to(self, kind: &'static str, principal: impl Into<String>) -> Self {
        Self {
            principal: [(kind, principal.into())].into(),
            ..self
        }
    }

    fn if_equal(self, values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            condition: [("StringEquals", values.into_iter().collect())].into(),
            ..self
        }
    }
}

/// What a role may do: that of the operator, and those that it assumes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permissions {
    /// The pools whose users' passwords it sets by itself.
    pub pools: BTreeSet<PoolArn>,
    /// The roles that it assumes.
    pub roles: BTreeSet<RoleArn>,
    /// Whether its sessions carry the tags of EKS Pod Identity.
    pub session_tags: bool,
}

impl Permissions {
    /// The policy. Without pools and roles it has no statement, which IAM refuses.
    #[must_use]
    pub fn document(&self) -> Document {
        let pools = || self.pools.iter().map(PoolArn::as_str);
        let roles = || self.roles.iter().map(RoleArn::as_str);
        let statements = [
            (!self.pools.is_empty()).then(|| Statement::on(Feature::SetPasswords, pools())),
            (!self.roles.is_empty()).then(|| Statement::on(Feature::AssumeRoles, roles())),
            (!self.roles.is_empty() && self.session_tags)
                .then(|| Statement::on(Feature::PassSessionTags, roles())),
        ];
        Document::of(statements.into_iter().flatten())
    }
}

/// The operator, as Kubernetes knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// By whom a role may be assumed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// By the operator in a cluster with an IAM OIDC provider (IRSA).
    Irsa {
        /// The cluster's.
        provider: OidcProviderArn,
        /// The operator's.
        service_account: ServiceAccount,
    },
    /// By EKS Pod Identity, for the operator.
    PodIdentity {
        /// The operator's.
        service_account: ServiceAccount,
        /// The only cluster that it may run in; none for all of the account.
        cluster: Option<ClusterArn>,
    },
    /// By the operator's own role: what a grant's role trusts.
    Operator {
        /// The operator's.
        role: RoleArn,
        /// What the grant names.
        external_id: Option<String>,
        /// Whether its sessions carry the tags of EKS Pod Identity.
        session_tags: bool,
    },
}

impl Trust {
    /// The trust policy.
    #[must_use]
    pub fn document(&self) -> Document {
        match self {
            Self::Irsa {
                provider,
                service_account: ServiceAccount { namespace, name },
            } => {
                let issuer = provider.issuer();
                let subject = format!("system:serviceaccount:{namespace}:{name}");
                let statement =
                    Statement::allow("TrustServiceAccount", &["sts:AssumeRoleWithWebIdentity"])
                        .to("Federated", provider.as_str())
                        .if_equal([
                            (format!("{issuer}:sub"), subject),
                            (format!("{issuer}:aud"), "sts.amazonaws.com".to_owned()),
                        ]);
                Document::of([statement])
            }
            Self::PodIdentity {
                service_account: ServiceAccount { namespace, name },
                cluster,
            } => {
                let tag =
                    |key: &str, value: &str| (format!("aws:RequestTag/{key}"), value.to_owned());
                let tags = [
                    tag("kubernetes-namespace", namespace),
                    tag("kubernetes-service-account", name),
                ];
                let cluster = cluster.as_ref();
                let cluster = cluster.map(|cluster| tag("eks-cluster-arn", cluster.as_str()));
                let actions = ["sts:AssumeRole", "sts:TagSession"];
                let statement = Statement::allow("TrustPodIdentity", &actions)
                    .to("Service", "pods.eks.amazonaws.com")
                    .if_equal(tags.into_iter().chain(cluster));
                Document::of([statement])
            }
            Self::Operator {
                role,
                external_id,
                session_tags,
            } => {
                let condition = |key: &str, value: &str| (format!("sts:{key}"), value.to_owned());
                let external = external_id.as_deref();
                let external = external.map(|id| condition("ExternalId", id));
                let session = condition("RoleSessionName", SESSION_NAME);
                let assume = Statement::allow("TrustOperator", Feature::AssumeRoles.actions())
                    .to("AWS", role.as_str())
                    .if_equal(external.into_iter().chain([session]));
                // On its own it lets nobody in, and the conditions above aren't all known to it.
                let tag = Statement::allow("TakeSessionTags", Feature::PassSessionTags.actions())
                    .to("AWS", role.as_str());
                Document::of(
                    [Some(assume), session_tags.then_some(tag)]
                        .into_iter()
                        .flatten(),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
