//! The `CognitoUserPoolGrant` resource and its CRD: which namespaces may manage which users of a pool, and
//! which identity makes the calls. Cluster-scoped, because a grant belongs to the platform team.

// Each `printcolumn` has its own `type_`, `name` and so on.
#![allow(clippy::duplicated_attributes)]
#![allow(clippy::doc_markdown, reason = "these docs are the CRD's descriptions")]

use super::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use kube::{
    CustomResource, KubeSchema,
    core::{ParseExpressionError, Selector, SelectorExt},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which namespaces may manage which users of one pool.
#[derive(CustomResource, KubeSchema, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "cognito-password-operator.io",
    version = "v1alpha1",
    kind = "CognitoUserPoolGrant",
    plural = "cognitouserpoolgrants",
    singular = "cognitouserpoolgrant",
    shortname = "cupg",
    category = "cognito",
    status = "GrantStatus",
    derive = "PartialEq",
    doc = "CognitoUserPoolGrant lets namespaces manage users of an Amazon Cognito user pool. Without a grant, a CognitoUserPassword is NotGranted. Anyone who may write grants can have the operator set any password of any pool that the operator's AWS identity, or a role that trusts that identity, reaches.",
    validation = Rule::new("!has(self.spec.externalId) || has(self.spec.roleArn)").message("externalId is for assuming a role: set roleArn too"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        description = "Whether the grant is in force",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        description = "Why it is, or is not",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Pool",
        type_ = "string",
        description = "The Cognito user pool",
        json_path = ".spec.userPoolId"
    ),
    printcolumn(
        name = "Resources",
        type_ = "integer",
        description = "How many CognitoUserPasswords the grant admits",
        json_path = ".status.resources"
    ),
    printcolumn(
        name = "Role",
        type_ = "string",
        description = "The role that the operator assumes",
        json_path = ".spec.roleArn",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        description = "What happened and what would fix it",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
pub struct CognitoUserPoolGrantSpec {
    /// The id of the user pool, e.g. eu-west-1_AbCdEf123.
    #[schemars(length(min = 1, max = 55))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-zA-Z0-9_-]+_[0-9a-zA-Z]+$')").message("userPoolId must be a user pool id such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits")
    )]
    pub user_pool_id: String,

    /// The usernames, as the resources spell the usernames. In each name, * stands for any characters and ? for
    /// exactly one character. The whole username must match, upper and lower case included.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 128)))]
    #[x_kube(
        validation = Rule::new(r"self.all(name, name.matches('^[\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+$'))").message("usernames must consist of letters, marks, symbols, numbers and punctuation, without white space or line breaks; * and ? are wildcards")
    )]
    pub usernames: Vec<String>,

    /// The namespaces that may manage these users: the named namespaces, and the namespaces whose labels fit the
    /// selector.
    pub namespaces: GrantNamespaces,

    /// The Region where the operator calls Cognito, if the pool's id names another Region or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z]{2,}(-[a-z0-9]+)+$')").message("region must be the name of an AWS Region such as eu-west-1")
    )]
    pub region: Option<String>,

    /// The role that the operator assumes to manage these users, e.g.
    /// arn:aws:iam::111122223333:role/cognito-passwords. Without a role the operator uses its own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 2048))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^arn:aws(-[a-z0-9]+)*:iam::[0-9]{12}:role/([a-zA-Z0-9_+=,.@-]+/)*[a-zA-Z0-9_+=,.@-]+$')").message("roleArn must be the ARN of an IAM role, such as arn:aws:iam::111122223333:role/cognito-passwords")
    )]
    pub role_arn: Option<String>,

    /// The external id (sts:ExternalId) that the role's trust policy asks for. An external id is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-zA-Z0-9_+=,.@:/-]+$')").message("externalId must consist of letters, digits and _+=,.@:/-")
    )]
    pub external_id: Option<String>,
}

/// Namespaces, by name, by label, or both. A namespace that fits one of the two is chosen.
#[derive(KubeSchema, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.names) || has(self.selector)").message("namespaces must have names, a selector, or both")
)]
pub struct GrantNamespaces {
    /// The names of namespaces, without wildcards. For all namespaces use an empty selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), inner(length(min = 1, max = 63)))]
    #[x_kube(
        validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'))").message("namespaces.names must be names of namespaces: lower case letters, digits and '-', beginning and ending with a letter or digit, without wildcards")
    )]
    pub names: Option<Vec<String>>,

    /// Labels of namespaces. Anyone who may label a namespace can make the namespace fit. An empty selector fits
    /// every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// A label selector, as everywhere in Kubernetes: all requirements must be met.
#[derive(JsonSchema, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels that must have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// A requirement on one label.
#[derive(KubeSchema, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)").message("In and NotIn need values, Exists and DoesNotExist have none")
)]
pub struct LabelRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: LabelOperator,
    /// The values, for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label has one of these values.
    In,
    /// The label has none of these values, or doesn't exist.
    NotIn,
    /// The label exists.
    Exists,
    /// The label doesn't exist.
    DoesNotExist,
}

/// What the operator observed of a grant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantStatus {
    /// The generation of the grant that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many CognitoUserPasswords the grant admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<i64>,
    /// Ready: whether the grant is in force, and whether the operator can assume the grant's role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A [`NamespaceSelector`], ready to be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labels(Selector);

impl Labels {
    /// Whether labels meet all requirements.
    #[must_use]
    pub fn fit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }
}

impl TryFrom<&NamespaceSelector> for Labels {
    type Error = ParseExpressionError;

    fn try_from(selector: &NamespaceSelector) -> Result<Self, Self::Error> {
        let requirement = |requirement: &LabelRequirement| v1::LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: format!("{:?}", requirement.operator),
            values: Some(requirement.values.clone()).filter(|values| !values.is_empty()),
        };
        let requirements = selector.match_expressions.iter().map(requirement);
        let selector = v1::LabelSelector {
            match_labels: Some(selector.match_labels.clone()),
            match_expressions: Some(requirements.collect()),
        };
        selector.try_into().map(Self)
    }
}
