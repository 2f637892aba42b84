"""An AWS Lambda function: asks the operator for a set when CloudTrail says that a user was made or reset.

EventBridge hands over the events of rule.json. An event has the user's sub and not the username, so the
function looks the name up. The function's role needs cognito-idp:ListUsers on the pool, eks:DescribeCluster on
the cluster, and the access entry of rbac.yaml. CLUSTER is the name of the cluster.
"""

import base64
import json
import os
import ssl
import urllib.parse
import urllib.request

import boto3
from botocore.signers import RequestSigner

RESOURCES = "/apis/cognito-password-operator.io/v1alpha1"
REQUESTED_AT = "cognito-password-operator.io/requestedAt"


def handler(event, _context):
    """Annotates the resources of the event's user, and returns them as "namespace/name"."""
    detail = event["detail"]
    pool = detail["requestParameters"]["userPoolId"]
    names = names_of(pool, detail["additionalEventData"]["sub"], detail["awsRegion"])
    call = kubernetes()
    selector = urllib.parse.quote(f"spec.userPoolId={pool}")
    found = call("GET", f"{RESOURCES}/cognitouserpasswords?fieldSelector={selector}")
    asked = []
    for resource in found["items"]:
        if resource["spec"]["username"] not in names:
            continue
        namespace, name = resource["metadata"]["namespace"], resource["metadata"]["name"]
        # The event's id: a second delivery of the event is no second request.
        patch = {"metadata": {"annotations": {REQUESTED_AT: event["id"]}}}
        call("PATCH", f"{RESOURCES}/namespaces/{namespace}/cognitouserpasswords/{name}", patch)
        asked.append(f"{namespace}/{name}")
    return asked


def names_of(pool, sub, region):
    """The names by which a resource may name the user: the sub and the username."""
    cognito = boto3.client("cognito-idp", region_name=region)
    users = cognito.list_users(UserPoolId=pool, Filter=f'sub = "{sub}"', AttributesToGet=["sub"])["Users"]
    if not users:
        # ListUsers lags. Lambda calls the function again after a minute, twice.
        raise LookupError(f"no user has the sub {sub} yet")
    return {sub, *(user["Username"] for user in users)}


def kubernetes():
    """A function that makes a request to the API server and returns the parsed reply."""
    url, trust, token = cluster()

    def call(method, path, body=None):
        request = urllib.request.Request(url + path, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/merge-patch+json")
        with urllib.request.urlopen(request, context=trust, timeout=10) as reply:
            return json.load(reply)

    return call


def cluster():
    """The API server's URL, the trust in its certificate, and a token of EKS for the function's role."""
    name = os.environ["CLUSTER"]
    found = boto3.client("eks").describe_cluster(name=name)["cluster"]
    authority = base64.b64decode(found["certificateAuthority"]["data"]).decode()
    trust = ssl.create_default_context(cadata=authority)
    session = boto3.session.Session()
    sts = session.client("sts")
    region = session.region_name
    signer = RequestSigner(
        sts.meta.service_model.service_id, region, "sts", "v4", session.get_credentials(), session.events
    )
    request = {
        "method": "GET",
        "url": f"https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
        "body": {},
        "headers": {"x-k8s-aws-id": name},
        "context": {},
    }
    signed = signer.generate_presigned_url(request, region_name=region, expires_in=60, operation_name="")
    token = "k8s-aws-v1." + base64.urlsafe_b64encode(signed.encode()).decode().rstrip("=")
    return found["endpoint"], trust, token
