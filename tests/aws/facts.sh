#!/usr/bin/env bash
# Measures on AWS what AWS's documentation leaves open, and prints the answers as a Markdown table.
# docs/aws-facts.md says what rests on each answer.
#
#   tests/aws/facts.sh --yes-this-account 111122223333 [--region eu-west-1] > facts.md
#
# Needs bash, the AWS CLI (version 2) and jq, and an identity that may do everything with user pools.
#
# Makes one user pool with a client, a group and a dozen users, and deletes all of them at the end, also after an
# error or Ctrl-C. Takes about ten minutes. Costs nothing, or a few cents: a dozen monthly active users of the plan
# Essentials (0.015 $ each in 2025, beyond the free ones), and three mails to the mailbox simulator of SES.
#
# Options for the questions that need more:
#   --expiry                  waits 25 hours for temporary passwords to expire (question 5)
#   --replica REGION:POOL_ID  asks the secondary Region of a replicated pool of yours (question 6). The calls name a
#                             user that doesn't exist, and change nothing
#
# FACTS_PATIENCE: how many seconds to wait for a change to show (default 60).
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 2; }

account='' region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}} expiry='' replica=''
while [ $# -gt 0 ]; do
  case $1 in
    --yes-this-account) account=${2:?the id of the account}; shift 2 ;;
    --region) region=${2:?a Region}; shift 2 ;;
    --expiry) expiry=yes; shift ;;
    --replica) replica=${2:?REGION:POOL_ID}; shift 2 ;;
    *) fail "unknown option $1; the head of this script lists the options" ;;
  esac
done
for tool in aws jq; do
  command -v "$tool" >/dev/null || fail "'$tool' is not on the PATH"
done
[ -n "$region" ] || fail "no Region: give --region, or set AWS_REGION"

export AWS_PAGER=''
patience=${FACTS_PATIENCE:-60}
actual=$(aws sts get-caller-identity --region "$region" --query Account --output text) ||
  fail "AWS doesn't accept the credentials (see above)"
say "account $actual, Region $region"
[ -n "$account" ] || fail "this script makes a user pool. If $actual is the right account, add: --yes-this-account $actual"
[ "$account" = "$actual" ] || fail "the credentials are of account $actual, not of $account"

umask 077
scratch=$(mktemp -d)
pool='' client=''

cleanup() {
  local status=$?
  trap - EXIT
  if [ -n "$pool" ]; then
    say "deleting the pool $pool"
    aws cognito-idp delete-user-pool --region "$region" --user-pool-id "$pool" ||
      say "error: delete the pool by hand: aws cognito-idp delete-user-pool --region $region --user-pool-id $pool"
  fi
  rm -rf "$scratch"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# One call. $1: the operation; $2: its input as JSON; $3: another Region. Sets `reply` to the output and `words` to
# AWS's code and words, which are empty after a success. Passwords and tokens go through a private file.
reply='' words=''
call() {
  printf '%s' "$2" >"$scratch/input"
  if reply=$(aws cognito-idp "$1" --region "${3:-$region}" --output json \
    --cli-input-json "file://$scratch/input" 2>"$scratch/stderr"); then
    words=''
    return 0
  fi
  words=$(sed -n 's/^.*An error occurred (\([^)]*\)) when calling the [^:]*: */\1: /p' "$scratch/stderr")
  [ -n "$words" ] || words=$(grep -v '^$' "$scratch/stderr" | tail -n 1)
  return 1
}

# A call that must succeed.
must() { call "$@" || fail "$1: $words"; }

# One row of the table. $1: the number of the question; $2: what was done; $3: the answer.
fact() { printf '| %s | %s | %s |\n' "$1" "$2" "$(printf '%s' "$3" | tr '\n' ' ' | sed 's/|/\\|/g')"; }

# "accepted", or AWS's words. $1, $2: as for `call`.
answer_of() {
  if call "$@"; then printf accepted; else printf '%s' "$words"; fi
}

user() { printf '"UserPoolId": "%s", "Username": "%s"' "$pool" "$1"; }

# A random password that fits every policy.
password() { printf 'Aa1-%s' "$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')"; }

# $1: a username; $2: a password; $3: true for a permanent one.
set_input() { printf '{%s, "Password": "%s", "Permanent": %s}' "$(user "$1")" "$2" "$3"; }

# Makes a user with a mail address that swallows all mail.
create() {
  must admin-create-user "{$(user "$1"), \"MessageAction\": \"SUPPRESS\", \"UserAttributes\": [
    {\"Name\": \"email\", \"Value\": \"success@simulator.amazonses.com\"}, {\"Name\": \"email_verified\", \"Value\": \"true\"}]}"
}

# Makes a user with a permanent password. $1: a username; $2: a password.
create_with() {
  create "$1"
  must admin-set-user-password "$(set_input "$1" "$2" true)"
}

# Signs in. $1: a username; $2: a password. Sets `answer`, and the tokens after a success.
answer='' refresh_token='' access_token=''
sign_in() {
  local input
  input=$(printf '{"UserPoolId": "%s", "ClientId": "%s", "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
    "AuthParameters": {"USERNAME": "%s", "PASSWORD": "%s"}}' "$pool" "$client" "$1" "$2")
  if ! call admin-initiate-auth "$input"; then
    answer=$words
  elif [ "$(jq 'has("ChallengeName")' <<<"$reply")" = true ]; then
    answer="challenge $(jq -r .ChallengeName <<<"$reply")"
  else
    answer=tokens
    refresh_token=$(jq -r '.AuthenticationResult.RefreshToken // ""' <<<"$reply")
    access_token=$(jq -r '.AuthenticationResult.AccessToken // ""' <<<"$reply")
  fi
}

refresh_input() {
  printf '{"UserPoolId": "%s", "ClientId": "%s", "AuthFlow": "REFRESH_TOKEN_AUTH",
    "AuthParameters": {"REFRESH_TOKEN": "%s"}}' "$pool" "$client" "$refresh_token"
}

refresh_is_refused() { ! call admin-initiate-auth "$(refresh_input)"; }
access_is_refused() { ! call get-user "{\"AccessToken\": \"$access_token\"}"; }

# Runs a condition each second. Sets `took` to the time until the condition holds.
took=''
until_true() {
  local begin=$SECONDS
  while ! "$@"; do
    if [ $((SECONDS - begin)) -ge "$patience" ]; then
      took="not within $patience s"
      return 0
    fi
    sleep 1
  done
  took="within $((SECONDS - begin + 1)) s"
}

# Whether ListUsers shows the user with this state. $1: a username; $2: a state, or "none" for no user.
lists() {
  must list-users "{\"UserPoolId\": \"$pool\", \"Filter\": \"username = \\\"$1\\\"\"}"
  [ "$(jq -r '.Users[0].UserStatus // "none"' <<<"$reply")" = "$2" ]
}

modified() {
  must admin-get-user "{$(user "$1")}"
  jq -r .UserLastModifiedDate <<<"$reply"
}

# Whether a call moves UserLastModifiedDate. $1: what is done; the rest: the function or `call` that does it.
moves() {
  local what=$1 before after
  shift
  before=$(modified facts-dates)
  sleep 2
  if ! "$@"; then
    fact 1 "$what" "not measured: $words"
    return 0
  fi
  after=$(modified facts-dates)
  if [ "$before" = "$after" ]; then fact 1 "$what" "doesn't move"; else fact 1 "$what" moves; fi
}

history_size() {
  call update-user-pool "{\"UserPoolId\": \"$pool\", \"Policies\": {\"PasswordPolicy\": {\"MinimumLength\": 8,
    \"RequireUppercase\": true, \"RequireLowercase\": true, \"RequireNumbers\": true, \"RequireSymbols\": true,
    \"TemporaryPasswordValidityDays\": 1, \"PasswordHistorySize\": $1}}}"
}

say "making a pool"
must create-user-pool '{"PoolName": "cognito-password-operator-facts",
  "UsernameConfiguration": {"CaseSensitive": false},
  "Policies": {"PasswordPolicy": {"MinimumLength": 8, "RequireUppercase": true, "RequireLowercase": true,
    "RequireNumbers": true, "RequireSymbols": true, "TemporaryPasswordValidityDays": 1}}}'
pool=$(jq -r .UserPool.Id <<<"$reply")
must create-user-pool-client "{\"UserPoolId\": \"$pool\", \"ClientName\": \"facts\", \"ExplicitAuthFlows\":
  [\"ALLOW_ADMIN_USER_PASSWORD_AUTH\", \"ALLOW_REFRESH_TOKEN_AUTH\"], \"PreventUserExistenceErrors\": \"ENABLED\"}"
client=$(jq -r .UserPoolClient.ClientId <<<"$reply")
must create-group "{\"UserPoolId\": \"$pool\", \"GroupName\": \"facts\"}"

printf '| question | step | answer |\n|---|---|---|\n'

say "question 1: what moves UserLastModifiedDate?"
first=$(password) second=$(password)
create_with facts-dates "$first"
signs_in() { sign_in facts-dates "$second"; words=$answer; [ "$answer" = tokens ]; }
moves "a set of another value" call admin-set-user-password "$(set_input facts-dates "$second" true)"
moves "a set of the same value" call admin-set-user-password "$(set_input facts-dates "$second" true)"
moves "a sign-in" signs_in
refreshes() { call admin-initiate-auth "$(refresh_input)"; }
moves "a refresh of the tokens" refreshes
moves "AdminUserGlobalSignOut" call admin-user-global-sign-out "{$(user facts-dates)}"
moves "AdminDisableUser" call admin-disable-user "{$(user facts-dates)}"
moves "AdminEnableUser" call admin-enable-user "{$(user facts-dates)}"
moves "AdminAddUserToGroup" call admin-add-user-to-group "{$(user facts-dates), \"GroupName\": \"facts\"}"
moves "an attribute" call admin-update-user-attributes \
  "{$(user facts-dates), \"UserAttributes\": [{\"Name\": \"nickname\", \"Value\": \"facts\"}]}"

say "question 2: how far does ListUsers lag, and what does it match?"
create facts-lag
until_true lists facts-lag FORCE_CHANGE_PASSWORD
fact 2 "ListUsers shows a new user" "$took"
must admin-set-user-password "$(set_input facts-lag "$first" true)"
until_true lists facts-lag CONFIRMED
fact 2 "ListUsers shows the state after a set" "$took"
if call admin-reset-user-password "{$(user facts-lag)}"; then
  until_true lists facts-lag RESET_REQUIRED
  fact 2 "ListUsers shows the state after AdminResetUserPassword" "$took"
else
  fact 2 "ListUsers shows the state after AdminResetUserPassword" "not measured: $words"
fi
must admin-delete-user "{$(user facts-lag)}"
until_true lists facts-lag none
fact 2 "ListUsers no longer shows a deleted user" "$took"

create FactsCase
# Until ListUsers shows the user by one of the two spellings.
either_case() {
  lists FactsCase FORCE_CHANGE_PASSWORD || lists factscase FORCE_CHANGE_PASSWORD
}
until_true either_case
case_of() { if lists "$1" FORCE_CHANGE_PASSWORD; then printf found; else printf 'not found'; fi; }
fact 2 "a pool that ignores the case, the user made as FactsCase: filter by FactsCase" "$(case_of FactsCase)"
fact 2 "the same: filter by factscase" "$(case_of factscase)"
fact 2 "the same: a set by the name factscase" \
  "$(answer_of admin-set-user-password "$(set_input factscase "$first" true)")"
must admin-get-user "{$(user FactsCase)}"
fact 2 "the same: the stored name" "$(jq -r .Username <<<"$reply")"
fact 2 "does a month of ListUsers show in the bill?" \
  "not measured: make a pool whose users nobody touches, run the operator with drift: Report for a calendar month, and read the pool's MAU metrics and the bill"

say "question 3: AdminSetUserPassword by the user's state"
create_with facts-disabled "$first"
must admin-disable-user "{$(user facts-disabled)}"
fact 3 "a set of a disabled user" "$(answer_of admin-set-user-password "$(set_input facts-disabled "$second" true)")"
if call sign-up "{\"ClientId\": \"$client\", \"Username\": \"facts-unconfirmed\", \"Password\": \"$first\",
  \"UserAttributes\": [{\"Name\": \"email\", \"Value\": \"success@simulator.amazonses.com\"}]}"; then
  sign_in facts-unconfirmed "$first"
  fact 6 "AdminInitiateAuth of an unconfirmed user" "$answer"
  fact 3 "a set of an unconfirmed user" \
    "$(answer_of admin-set-user-password "$(set_input facts-unconfirmed "$second" true)")"
  must admin-get-user "{$(user facts-unconfirmed)}"
  fact 3 "the state afterwards" "$(jq -r .UserStatus <<<"$reply")"
else
  fact 3 "a set of an unconfirmed user" "not measured: $words"
fi

# $1: a username; $2: "with" or "without". Resets a user, and sets the same value again.
reset_and_set() {
  create_with "$1" "$first"
  if ! call admin-reset-user-password "{$(user "$1")}"; then
    fact 3 "a reset user, the same value, $2 a history" "not measured: $words"
    return 0
  fi
  sign_in "$1" "$first"
  fact 6 "AdminInitiateAuth after AdminResetUserPassword" "$answer"
  fact 3 "a reset user, the same value, $2 a history" \
    "$(answer_of admin-set-user-password "$(set_input "$1" "$first" true)")"
}
reset_and_set facts-reset without

say "question 4: what do sessions outlive?"
create_with facts-sessions "$first"
sign_in facts-sessions "$first"
if [ "$answer" = tokens ]; then
  must admin-set-user-password "$(set_input facts-sessions "$second" true)"
  until_true refresh_is_refused
  fact 4 "the refresh token after a set: refused" "$took"
  sign_in facts-sessions "$second"
  must admin-user-global-sign-out "{$(user facts-sessions)}"
  until_true refresh_is_refused
  fact 4 "the refresh token after AdminUserGlobalSignOut: refused" "$took"
  until_true access_is_refused
  fact 4 "the access token after AdminUserGlobalSignOut: refused by GetUser" "$took"
else
  fact 4 "sessions" "not measured: $answer"
fi

say "question 5: temporary passwords"
create facts-temporary
must admin-set-user-password "$(set_input facts-temporary "$first" false)"
sign_in facts-temporary "$first"
fact 5 "the first AdminInitiateAuth with a temporary password" "$answer"
sign_in facts-temporary "$first"
fact 5 "the second one, without an answer to the first challenge" "$answer"
fact 5 "a set of the same temporary value, without a history" \
  "$(answer_of admin-set-user-password "$(set_input facts-temporary "$first" false)")"

say "question 6: the words of refusals"
create_with facts-words "$first"
sign_in facts-words "$second"
fact 6 "AdminInitiateAuth with a wrong password" "$answer"
sign_in facts-nobody "$first"
fact 6 "AdminInitiateAuth of a user that doesn't exist, PreventUserExistenceErrors enabled" "$answer"
create_with facts-off "$first"
must admin-disable-user "{$(user facts-off)}"
sign_in facts-off "$first"
fact 6 "AdminInitiateAuth of a disabled user" "$answer"
for _ in 1 2 3 4 5 6; do sign_in facts-words "$second"; done
fact 6 "AdminInitiateAuth after seven wrong passwords" "$answer"
fact 6 "AdminInitiateAuth by a flow that the client doesn't allow" "$(answer_of admin-initiate-auth \
  "{\"UserPoolId\": \"$pool\", \"ClientId\": \"$client\", \"AuthFlow\": \"CUSTOM_AUTH\",
    \"AuthParameters\": {\"USERNAME\": \"facts-dates\"}}")"

say "questions 3 and 5, with a password history"
if history_size 5; then
  reset_and_set facts-reset-history with
  create facts-temporary-history
  must admin-set-user-password "$(set_input facts-temporary-history "$first" false)"
  fact 5 "a set of the same temporary value, with a history" \
    "$(answer_of admin-set-user-password "$(set_input facts-temporary-history "$first" false)")"
else
  fact 3 "a reset user, the same value, with a history" "not measured: $words"
  fact 5 "a set of the same temporary value, with a history" "not measured: $words"
fi

if [ -n "$expiry" ]; then
  say "question 5: waiting 25 hours for temporary passwords to expire; Ctrl-C deletes the pool"
  history_size 0 || fail "update-user-pool: $words"
  for name in facts-expiry facts-renewed; do
    create "$name"
    must admin-set-user-password "$(set_input "$name" "$first" false)"
  done
  sleep 7200
  must admin-set-user-password "$(set_input facts-renewed "$first" false)"
  sleep 82800
  sign_in facts-expiry "$first"
  fact 5 "a temporary password that is valid for one day, after 25 hours" "$answer"
  sign_in facts-renewed "$first"
  fact 5 "the same, but the same value was set again after 2 hours: a challenge means that the set renewed it" "$answer"
else
  fact 5 "does a set of the same value renew the expiry?" "not measured: needs --expiry"
fi

if [ -n "$replica" ]; then
  pool_there=${replica#*:} region_there=${replica%%:*}
  there="\"UserPoolId\": \"$pool_there\""
  fact 6 "AdminSetUserPassword in a secondary Region" "$(answer_of admin-set-user-password \
    "{$there, \"Username\": \"facts-nobody\", \"Password\": \"$first\", \"Permanent\": true}" "$region_there")"
  fact 6 "AdminUserGlobalSignOut in a secondary Region" "$(answer_of admin-user-global-sign-out \
    "{$there, \"Username\": \"facts-nobody\"}" "$region_there")"
  fact 6 "ListUsers in a secondary Region" "$(answer_of list-users "{$there, \"Limit\": 1}" "$region_there")"
else
  fact 6 "the words in a secondary Region" "not measured: needs --replica"
fi
