# Terraform makes the user and the CognitoUserPassword. Terraform never has the password: no password in a plan,
# in the state, or in a variable.

variable "user_pool_id" {
  type = string
}

resource "aws_cognito_user" "ci_bot" {
  user_pool_id = var.user_pool_id
  username     = "ci-bot"
  # No message to the user. Without `password` and `temporary_password`, Cognito draws a password that nobody
  # knows, and Terraform doesn't change the password later.
  message_action = "SUPPRESS"
}

# The CRDs must be installed before `terraform plan`.
resource "kubernetes_manifest" "ci_bot" {
  manifest = yamldecode(<<-YAML
    apiVersion: cognito-password-operator.io/v1alpha1
    kind: CognitoUserPassword
    metadata:
      name: ci-bot
      namespace: team-a
    spec:
      userPoolId: ${aws_cognito_user.ci_bot.user_pool_id}
      username: ${aws_cognito_user.ci_bot.username}
      passwordSecretRef:
        name: ci-bot-credentials
    YAML
  )

  # Until the password is set.
  wait {
    condition {
      type   = "Ready"
      status = "True"
    }
  }
}
