//! The IAM policies with the rights that the operator needs, and no other rights.
//!
//! [`Feature`] lists every AWS action. The `iam-policy` command prints the policies, docs/iam.md shows that
//! output, and the tests compare the actions with the calls that the operator made.
use crate::core::names::arn::{ClusterArn, OidcProviderArn, PoolArn, RoleArn};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, iter,
};

/// The session name with which the operator assumes roles. `CloudTrail` shows the session name, and a
/// role's trust policy can require the session name.
pub const SESSION_NAME: &str = "cognito-password-operator";

/// A feature that needs rights in AWS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// Sets passwords.
    SetPasswords,
    /// Looks at the users of a pool, for drift and for federated users. `cognito-idp:ListUsers` lets its
    /// holder read every attribute of every user of the pool, and IAM has no condition that narrows this.
    SeeUsers,
    /// Ends a user's sessions after a set.
    RevokeSessions,
    /// Reads `TemporaryPasswordValidityDays`, after which a temporary password expires.
    /// `cognito-idp:DescribeUserPool` shows the whole configuration of the pool.
    ReadPool,
    /// Assumes the roles that grants name.
    AssumeRoles,
    /// Passes the session tags of EKS Pod Identity into each role that the operator assumes. STS then
    /// requires the right `sts:TagSession`, although the operator makes no call of that name.
    PassSessionTags,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 6] = [
        Self::SetPasswords,
        Self::SeeUsers,
        Self::RevokeSessions,
        Self::ReadPool,
        Self::AssumeRoles,
        Self::PassSessionTags,
    ];

    /// The AWS actions that the feature needs.
    #[must_use]
    pub const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::SetPasswords => &["cognito-idp:AdminSetUserPassword"],
            Self::SeeUsers => &["cognito-idp:ListUsers"],
            Self::RevokeSessions => &["cognito-idp:AdminUserGlobalSignOut"],
            Self::ReadPool => &["cognito-idp:DescribeUserPool"],
            Self::AssumeRoles => &["sts:AssumeRole"],
            Self::PassSessionTags => &["sts:TagSession"],
        }
    }

    const fn sid(self) -> &'static str {
        match self {
            Self::SetPasswords => "SetPasswords",
            Self::SeeUsers => "SeeUsers",
            Self::RevokeSessions => "RevokeSessions",
            Self::ReadPool => "ReadPool",
            Self::AssumeRoles => "AssumeRoles",
            Self::PassSessionTags => "PassSessionTags",
        }
    }
}

/// A policy document. Equal rights give the same bytes, because the rights are sorted.
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
    /// Pretty-printed JSON.
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

/// The features that need a right beside the right to set passwords, in the same pools. Without a switch the
/// policy grants the right to set passwords alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolSwitches {
    /// Whether the role may look at the users: [`Feature::SeeUsers`].
    pub see_users: bool,
    /// Whether the role may end a user's sessions: [`Feature::RevokeSessions`].
    pub revoke_sessions: bool,
    /// Whether the role may read the configuration of a pool: [`Feature::ReadPool`].
    pub read_pool: bool,
}

impl PoolSwitches {
    /// The features that are switched on, in the order of [`Feature::ALL`].
    fn features(self) -> impl Iterator<Item = Feature> {
        [
            (self.see_users, Feature::SeeUsers),
            (self.revoke_sessions, Feature::RevokeSessions),
            (self.read_pool, Feature::ReadPool),
        ]
        .into_iter()
        .filter_map(|(on, feature)| on.then_some(feature))
    }
}

/// The rights of a role. The role is the operator's own or a role that a grant names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permissions {
    /// The pools in which the role sets passwords.
    pub pools: BTreeSet<PoolArn>,
    /// What else the role may do in these pools. Without pools the switches grant nothing.
    pub switches: PoolSwitches,
    /// The roles that the role assumes.
    pub roles: BTreeSet<RoleArn>,
    /// Whether the operator's sessions carry the tags of EKS Pod Identity.
    pub session_tags: bool,
}

impl Permissions {
    /// The permissions policy. Without pools and roles the policy has no statement, and IAM refuses the
    /// policy.
    #[must_use]
    pub fn document(&self) -> Document {
        let pools = || self.pools.iter().map(PoolArn::as_str);
        let roles = || self.roles.iter().map(RoleArn::as_str);
        let in_pools = iter::once(Feature::SetPasswords)
            .chain(self.switches.features())
            .filter(|_| !self.pools.is_empty())
            .map(|feature| Statement::on(feature, pools()));
        let on_roles = [
            (!self.roles.is_empty()).then(|| Statement::on(Feature::AssumeRoles, roles())),
            (!self.roles.is_empty() && self.session_tags)
                .then(|| Statement::on(Feature::PassSessionTags, roles())),
        ];
        Document::of(in_pools.chain(on_roles.into_iter().flatten()))
    }
}

/// The operator's `ServiceAccount`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceAccount {
    /// The namespace of the account.
    pub namespace: String,
    /// The name of the account.
    pub name: String,
}

/// The identity that may assume a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The operator, in a cluster with an IAM OIDC provider (IRSA).
    Irsa {
        /// The OIDC provider of the cluster.
        provider: OidcProviderArn,
        /// The operator's `ServiceAccount`.
        service_account: ServiceAccount,
    },
    /// EKS Pod Identity, on behalf of the operator.
    PodIdentity {
        /// The operator's `ServiceAccount`.
        service_account: ServiceAccount,
        /// The only cluster in which the operator may run. `None` for every cluster of the account.
        cluster: Option<ClusterArn>,
    },
    /// The operator's own role. This is the trust of a role that a grant names.
    Operator {
        /// The ARN of the operator's own role.
        role: RoleArn,
        /// The external id that the grant names.
        external_id: Option<String>,
        /// Whether the operator's sessions carry the tags of EKS Pod Identity.
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
                // `sts:TagSession` alone does not let anyone assume the role. The statement has no
                // conditions, because `sts:TagSession` does not support all of the condition keys above.
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
