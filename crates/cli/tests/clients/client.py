"""The Python client of Kubernetes against a platform: what a program would do.

Arguments: the API's URL, and what to do. Prints a line when it is done; what is not so
is an AssertionError.
"""

import base64
import sys

from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

GROUP, VERSION, NAMESPACE, PLURAL = "gapless.dev", "v1", "default", "functions"
OURS = (GROUP, VERSION, NAMESPACE, PLURAL)


def function(name, labels=None):
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Function",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"fake": {"start": "1ms", "service": "1ms"}},
    }


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ApiException as error:
        assert error.status == status, error
        return error
    raise AssertionError(f"not refused with {status}")


def functions(api):
    """Creates, reads, changes and deletes functions; a watch tells of all of it."""
    custom = client.CustomObjectsApi(api)
    before = custom.list_namespaced_custom_object(*OURS)["metadata"]["resourceVersion"]
    made = custom.create_namespaced_custom_object(*OURS, function("one", {"app": "web"}))
    assert made["spec"]["queue"]["wait"] == "10s", made
    refused(409, custom.create_namespaced_custom_object, *OURS, function("one"))
    wrong = function("two")
    wrong["spec"]["fake"]["start"] = "5parsec"
    error = refused(422, custom.create_namespaced_custom_object, *OURS, wrong)
    assert "spec.fake.start" in error.body, error.body
    patch = {"spec": {"queue": {"size": 7}}}
    patched = custom.patch_namespaced_custom_object(*OURS, "one", patch)
    assert patched["spec"]["queue"]["size"] == 7, patched
    made["spec"]["queue"]["size"] = 8
    refused(409, custom.replace_namespaced_custom_object, *OURS, "one", made)
    listed = custom.list_namespaced_custom_object(*OURS, label_selector="app=web")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one"], listed
    custom.delete_namespaced_custom_object(*OURS, "one")
    refused(404, custom.get_namespaced_custom_object, *OURS, "one")
    told = []
    for event in watch.Watch().stream(
        custom.list_namespaced_custom_object, *OURS, resource_version=before, timeout_seconds=60
    ):
        told.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert told[0] == "ADDED" and "MODIFIED" in told and told[-1] == "DELETED", told


def core(api):
    """Typed objects of the core group."""
    core = client.CoreV1Api(api)
    metadata = client.V1ObjectMeta(name="team")
    core.create_namespace(client.V1Namespace(metadata=metadata))
    assert "team" in [item.metadata.name for item in core.list_namespace().items]
    metadata = client.V1ObjectMeta(name="conf")
    core.create_namespaced_config_map("team", client.V1ConfigMap(metadata=metadata, data={"a": "b"}))
    assert core.read_namespaced_config_map("conf", "team").data == {"a": "b"}
    changed = core.patch_namespaced_config_map("conf", "team", {"data": {"c": "d"}})
    assert changed.data == {"a": "b", "c": "d"}, changed
    word = base64.b64encode(b"open sesame").decode()
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name="pass"), data={"word": word})
    core.create_namespaced_secret("team", secret)
    read = core.read_namespaced_secret("pass", "team")
    assert read.type == "Opaque" and read.data["word"] != word, read
    custom = client.CustomObjectsApi(api)
    custom.create_namespaced_custom_object(*OURS, function("seen"))
    events = watch.Watch().stream(core.list_namespaced_event, NAMESPACE, timeout_seconds=60)
    for event in events:
        if event["object"].involved_object.name == "seen":
            assert event["object"].type == "Normal", event
            break
    else:
        raise AssertionError("no event of what happened")
    custom.delete_namespaced_custom_object(*OURS, "seen")
    before = core.list_namespace().metadata.resource_version
    core.delete_namespace("team")
    for event in watch.Watch().stream(
        core.list_namespace, resource_version=before, timeout_seconds=60
    ):
        if event["type"] == "DELETED" and event["object"].metadata.name == "team":
            break
    else:
        raise AssertionError("not told that the namespace is gone")
    refused(404, core.read_namespace, "team")


def follow(api):
    """Follows config maps across restarts of the server, until one called `last` comes:
    what is told must be in order, without a gap and without a duplicate."""
    core = client.CoreV1Api(api)
    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    print("following", flush=True)
    wanted, told = 0, 0
    while True:
        try:
            stream = watch.Watch().stream(
                core.list_namespaced_config_map,
                NAMESPACE,
                resource_version=version,
                timeout_seconds=60,
            )
            for event in stream:
                seen = event["object"].metadata
                assert event["type"] == "ADDED", event
                assert int(seen.resource_version) > int(version), event
                version = seen.resource_version
                if seen.name == "last":
                    print(f"told {told}", flush=True)
                    return
                assert seen.name == f"c{wanted:04}", f"{seen.name}, not c{wanted:04}"
                wanted, told = wanted + 1, told + 1
                print(seen.name, flush=True)
        except ApiException:
            raise
        except Exception as error:  # The server is away: it comes back at the same address.
            print(f"again after {type(error).__name__}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    settings = client.Configuration()
    settings.host = sys.argv[1]
    settings.retries = False
    {"functions": functions, "core": core, "follow": follow}[sys.argv[2]](
        client.ApiClient(settings)
    )
    print("done", flush=True)
