//! Names of settings whose values a report shows, and names that stand for credentials.

/// Parts of names that stand for credentials.
const CREDENTIAL: [&str; 15] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "CREDENTIAL",
    "PRIVATE",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "AUTH",
    "SESSION",
    "COOKIE",
    "SIGNATURE",
];

/// How the names of settings begin whose values help to understand the operator.
const OF_OPERATOR: [&str; 9] = [
    "CPO_",
    "AWS_",
    "POD_",
    "RUST_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_",
    "TZ",
];

/// The names that only look like credentials: labels of Secrets, and a session's name.
const HARMLESS: [&str; 2] = ["SECRET_SELECTOR", "ROLE_SESSION_NAME"];

/// Whether the value of a setting of this name may be a credential. The name is a variable or a flag, in any case.
#[must_use]
pub(super) fn is_credential(name: &str) -> bool {
    let name = name
        .trim_start_matches('-')
        .to_uppercase()
        .replace('-', "_");
    // The path of a file is not what the file contains.
    let is_harmless = name.ends_with("_FILE") || HARMLESS.iter().any(|it| name.ends_with(it));
    !is_harmless && CREDENTIAL.iter().any(|part| name.contains(part))
}

/// Whether a report shows the value of a variable of this name.
#[must_use]
pub(super) fn is_shown(variable: &str) -> bool {
    let name = variable.to_uppercase();
    let is_ours = OF_OPERATOR.iter().any(|begin| name.starts_with(begin));
    is_ours && !is_credential(variable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("AWS_SECRET_ACCESS_KEY", false)]
    #[case("AWS_ACCESS_KEY_ID", false)]
    #[case("AWS_SESSION_TOKEN", false)]
    #[case("AWS_CONTAINER_AUTHORIZATION_TOKEN", false)]
    #[case("aws_secret_access_key", false)]
    #[case("CPO_MY_TOKEN", false)]
    #[case("DATADOG_API_KEY", false)]
    #[case("DATABASE_URL", false)]
    #[case("CPO_SECRET_SELECTOR", true)]
    #[case("CPO_COGNITO_RPS", true)]
    #[case("AWS_ROLE_ARN", true)]
    #[case("AWS_WEB_IDENTITY_TOKEN_FILE", true)]
    #[case("AWS_ENDPOINT_URL_STS", true)]
    #[case("HTTPS_PROXY", true)]
    fn only_the_operators_harmless_settings_are_shown(#[case] name: &str, #[case] shown: bool) {
        assert_eq!(is_shown(name), shown);
    }

    #[rstest]
    #[case("--secret-selector", false)]
    #[case("--cognito-rps", false)]
    #[case("--bearer-token", true)]
    #[case("-password", true)]
    fn a_flag_may_name_a_credential(#[case] flag: &str, #[case] is: bool) {
        assert_eq!(is_credential(flag), is);
    }
}
