"""Runtime: static, disk, admin and RTDS layers, /runtime and /runtime_modify, and what follows."""
import json
from urllib.parse import quote

import pytest

from harness import bootstrap, difference, direct, http_listener, wait_for
from harness.config import file_log
from harness.proxy import run_once
from harness.stub import resource
from harness.xds import ADS, ads_bootstrap, api_source


def listener():
    """Answers "on" as often as the key `often` says, and else "off"."""
    return http_listener(routes=[
        {"match": {"prefix": "/", "runtime_fraction": {
            "default_value": {"numerator": 0}, "runtime_key": "often"}},
         "direct_response": {"status": 200, "body": {"inline_string": "on"}}},
        direct(200, "off")])


def layers(*made):
    return {"layers": list(made)}


def entry(proxy, key):
    return proxy.json("/runtime")["entries"].get(key)


def test_layers_above_layers(start):
    config = bootstrap([listener()], layered_runtime=layers(
        {"name": "low", "static_layer": {"foo": {"bar": 5, "baz": "x"}, "flag": True, "d": 1.5}},
        {"name": "high", "static_layer": {"foo": {"bar": 6}}}, {"name": "mine", "admin_layer": {}}))
    proxy = start(config)
    assert proxy.json("/runtime") == {
        "entries": {
            "foo.bar": {"final_value": "6", "layer_values": ["5", "6", ""]},
            "foo.baz": {"final_value": "x", "layer_values": ["x", "", ""]},
            "flag": {"final_value": "true", "layer_values": ["true", "", ""]},
            "d": {"final_value": "1.5", "layer_values": ["1.5", "", ""]}},
        "layers": ["low", "high", "mine"]}
    assert proxy.stat("runtime.num_keys") == 4
    assert proxy.stat("runtime.num_layers") == 3


def test_modify(start):
    proxy = start(bootstrap([listener()], layered_runtime=layers(
        {"name": "low", "static_layer": {"often": 0}}, {"name": "mine", "admin_layer": {}})))
    assert proxy.get("/").text == "off"
    answer = proxy.admin("/runtime_modify?often=100&other=1", "POST")
    assert (answer.status, answer.text) == (200, "OK\n")
    wait_for(lambda: proxy.get("/").text == "on", what="the new value")
    assert entry(proxy, "often") == {"final_value": "100", "layer_values": ["0", "100"]}
    assert proxy.stat("runtime.admin_overrides_active") == 1
    proxy.admin("/runtime_modify?often=&other=", "POST")
    wait_for(lambda: proxy.get("/").text == "off", what="the old value")
    assert entry(proxy, "other") is None
    assert proxy.stat("runtime.admin_overrides_active") == 0


@pytest.mark.parametrize("runtime", [{}, {"layers": []}], ids=["empty", "no-layers"])
def test_a_runtime_without_layers_has_one_of_the_operator(start, runtime):
    proxy = start(bootstrap([listener()], layered_runtime=runtime))
    assert proxy.json("/runtime") == {"entries": {}, "layers": [""]}
    assert proxy.admin("/runtime_modify?often=100", "POST").status == 200
    wait_for(lambda: proxy.get("/").text == "on", what="the new value")
    assert entry(proxy, "often") == {"final_value": "100", "layer_values": ["100"]}
    assert proxy.stat("runtime.num_layers") == 1


def test_without_a_runtime_there_is_nothing_to_modify(start):
    proxy = start(bootstrap([listener()]))
    answer = proxy.admin("/runtime_modify?often=100", "POST")
    assert (answer.status, answer.text) == (503, "No admin layer specified")


def test_modify_with_odd_keys(start):
    """The page stays JSON, whatever a key or a value is; of several values the first one counts."""
    proxy = start(bootstrap([listener()], layered_runtime=layers(
        {"name": "low<", "static_layer": {"a\"b": 1}}, {"name": "mine", "admin_layer": {}})))
    for change in ("%22q=1", "n%0al=2", "d=1&d=2", "nul%00x=a%00b", "lt%3C=%3C", "gone=&gone=5",
                   "number=2%00", "%E2%80%A8=\u00e9"):
        assert proxy.admin("/runtime_modify?" + quote(change, "=&%"), "POST").text == "OK\n"
    page = proxy.admin("/runtime").text
    shown = json.loads(page)
    assert {key: value["final_value"] for key, value in shown["entries"].items()} == {
        'a"b': "1", '"q': "1", "n\nl": "2", "d": "1", "nul\0x": "a\0b", "lt<": "<",
        "number": "2\0", "\u2028": "\u00e9"}
    assert '"low\\u003c"' in page and '"lt\\u003c"' in page and '"\\u2028"' in page


@difference("U+FFFD is what Unicode has for bytes that are no text.",
            envoy="prints a space for them", xylem="prints U+FFFD")
def test_modify_with_bytes_that_are_no_text(start, kind):
    proxy = start(bootstrap([listener()], layered_runtime=layers(
        {"name": "mine", "admin_layer": {}})))
    proxy.admin("/runtime_modify?a=1%ff", "POST")
    assert entry(proxy, "a")["final_value"] == ("1 " if kind == "envoy" else "1\ufffd")


def test_a_fraction_is_one(start):
    proxy = start(bootstrap([listener()], layered_runtime=layers(
        {"name": "low", "static_layer": {"often": {"numerator": 10000,
                                                   "denominator": "TEN_THOUSAND"}}})))
    assert proxy.get("/").text == "on"


def test_a_folder_of_values_that_is_swapped(start, tmp_path):
    def publish(name, value):
        folder = tmp_path / name / "deep"
        folder.mkdir(parents=True)
        (folder / "often").write_text(f"# how often\n{value}\n")
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").rename(tmp_path / "current")

    publish("v1", 100)
    proxy = start(bootstrap([listener()], layered_runtime=layers(
        {"name": "disk", "disk_layer": {"symlink_root": str(tmp_path / "current"),
                                        "subdirectory": "deep"}})))
    assert proxy.get("/").text == "on"
    assert entry(proxy, "often") == {"final_value": "100", "layer_values": ["100"]}
    publish("v2", 0)
    wait_for(lambda: proxy.get("/").text == "off", what="the new folder")


def counted(proxy):
    return [proxy.stat(f"runtime.{name}") for name in (
        "num_layers", "load_success", "override_dir_not_exists", "override_dir_exists")]


def test_folders_that_are_not_there(start, tmp_path):
    """They are no layers until they come; how many there are is counted with each reading."""
    def publish(name, *folders):
        for folder in folders:
            (tmp_path / name / folder).mkdir(parents=True)
            (tmp_path / name / folder / folder).write_text("1")
        (tmp_path / "new").symlink_to(name)
        (tmp_path / "new").rename(tmp_path / "current")

    publish("v1", "one")
    proxy = start(bootstrap([listener()], layered_runtime=layers(*(
        {"name": name, "disk_layer": {"symlink_root": str(tmp_path / "current"),
                                      "subdirectory": name}} for name in ("one", "two")))))
    assert proxy.json("/runtime") == {
        "entries": {"one": {"final_value": "1", "layer_values": ["1"]}}, "layers": ["one"]}
    assert counted(proxy) == [1, 2, 2, 0]
    publish("v2", "one", "two")
    proxy.wait_stat("runtime.load_success", 4)
    assert proxy.json("/runtime")["layers"] == ["one", "two"]
    assert counted(proxy)[0] == 2
    seen = counted(proxy)[3]
    assert seen in (1, 2)                    # the second may have come with the first reading
    publish("v3", "two")
    proxy.wait_stat("runtime.load_success", 6)
    assert proxy.json("/runtime")["layers"] == ["two"]
    assert sum(counted(proxy)[2:]) == 6


# What a value says of a fraction whose default is all, and of one whose default is none.
NONE, ALL, DEFAULT = ("off", "off"), ("on", "on"), ("on", "off")
NUMBERS = {"0.5": NONE, ".5": NONE, "1e-9": NONE, "100.9": ALL, " 0": NONE, "0 ": NONE,
           "\n0": NONE, "\t100": ALL, "0x0": NONE, "0x64": ALL, "+0": NONE, "-0": NONE, "0e9": NONE,
           "4294967296": ALL, "1e19": ALL, "-1": DEFAULT, "-0.5": DEFAULT, "nan": DEFAULT,
           "inf": DEFAULT, "0b0": DEFAULT, "0,": DEFAULT, "text": DEFAULT, "false": DEFAULT}
STRUCT = [(0.5, NONE), (100.9, ALL), (1e-9, NONE), (-0.5, DEFAULT), (False, DEFAULT), ({}, NONE),
          ({"numerator": 0.5}, NONE), ({"numerator": "100"}, NONE), ({"numerator": True}, NONE),
          ({"numerator": None}, NONE), ({"numerator": 100, "denominator": 1}, DEFAULT),
          ({"numerator": 0, "denominator": "0"}, DEFAULT),
          ("numerator: 0", DEFAULT), ("0 # c", DEFAULT), ("0144", ALL), *NUMBERS.items()]
TEXT = {**NUMBERS, "# off\n\n0\n": NONE, "0 # off": NONE, "\ufeff0": NONE, "---\n0": NONE,
        "'0'": DEFAULT, "0.5 # c": DEFAULT, "0144": ALL, "[0]": DEFAULT, "0:": DEFAULT, "{}": NONE,
        "numerator: 0 # c": NONE, "{numerator: 100}": ALL, "numerator: 100.5": NONE,
        "numerator: '100'": NONE, "numerator: 0x64": ALL,
        "numerator: 0\n\ndenominator: MILLION": NONE,
        "numerator: 0\ndenominator: 0": DEFAULT, "numerator: 0\nmore: 1": DEFAULT}


def by_keys(count):
    """/I/D answers "on" as often as the key kI says, or else D of a hundred."""
    return http_listener(routes=[
        *({"match": {"prefix": f"/{i}/{default}", "runtime_fraction": {
            "default_value": {"numerator": default}, "runtime_key": f"k{i}"}},
           "direct_response": {"status": 200, "body": {"inline_string": "on"}}}
          for i in range(count) for default in (100, 0)),
        direct(200, "off")])


def readings(proxy, values):
    with proxy.client() as client:
        return [(value, (client.get(f"/{i}/100").text, client.get(f"/{i}/0").text))
                for i, value in enumerate(values)]


def test_numbers_of_a_static_layer(start):
    """A number that is not whole loses its fraction; a string is a number with blanks around it."""
    values = [value for value, _ in STRUCT]
    proxy = start(bootstrap([by_keys(len(values))], layered_runtime=layers(
        {"name": "s", "static_layer": {f"k{i}": value for i, value in enumerate(values)}})))
    assert readings(proxy, values) == STRUCT


def test_numbers_of_files(start, tmp_path):
    """Lines that are empty or a comment go, and what is left is YAML."""
    (tmp_path / "v1").mkdir()
    for i, value in enumerate(TEXT):
        (tmp_path / "v1" / f"k{i}").write_text(value)
    (tmp_path / "current").symlink_to("v1")
    proxy = start(bootstrap([by_keys(len(TEXT))], layered_runtime=layers(
        {"name": "d", "disk_layer": {"symlink_root": str(tmp_path / "current")}})))
    assert readings(proxy, TEXT) == list(TEXT.items())
    fraction = "{numerator: 100}"
    assert entry(proxy, f"k{list(TEXT).index(fraction)}")["final_value"] == fraction


def test_numbers_of_the_admin_layer(start):
    proxy = start(bootstrap([by_keys(len(TEXT))], layered_runtime=layers(
        {"name": "mine", "admin_layer": {}})))
    for i, value in enumerate(TEXT):
        assert proxy.admin(f"/runtime_modify?k{i}={quote(value, '')}", "POST").text == "OK\n"
    last = len(TEXT) - 1
    wait_for(lambda: entry(proxy, f"k{last}"), what="the last value")
    wait_for(lambda: readings(proxy, TEXT) == list(TEXT.items()), what="all of them")


def layer(values):
    return resource("rtds", {"name": "dynamic", "layer": values})


@pytest.fixture(params=["ads", "own"])
def world(request, stub, start, dialect):
    """world(values) starts with an RTDS layer, over ADS or a stream of its own."""
    def run(*resources):
        control = stub(*resources)
        source = ADS if request.param == "ads" else api_source(dialect)
        config = ads_bootstrap(control, listeners=[listener()], api_type=dialect,
                               layered_runtime=layers(
                                   {"name": "low", "static_layer": {"often": 0}},
                                   {"name": "over", "rtds_layer": {"name": "dynamic",
                                                                   "rtds_config": source}}))
        return control, start(config)
    return run


def test_rtds(world):
    control, proxy = world(layer({"often": 100}))
    assert proxy.get("/").text == "on"
    assert entry(proxy, "often") == {"final_value": "100", "layer_values": ["0", "100"]}
    assert proxy.json("/runtime")["layers"] == ["low", "over"]
    control.put(layer({"often": {"numerator": 0}}))
    control.wait("rtds")
    wait_for(lambda: proxy.get("/").text == "off", what="the new value")
    control.put(layer({"often": [1]}))
    control.wait("rtds", "NACKED")
    assert proxy.get("/").text == "off"
    control.put(layer({"often": 100}))
    control.wait("rtds")
    wait_for(lambda: proxy.get("/").text == "on", what="the good value")


@pytest.mark.only("xylem", reason="Envoy has no --strict")
def test_rtds_under_strict(stub, start):
    """All of a layer is obeyed: nothing of it is counted, or refused where nothing may be ignored."""
    control = stub(layer({"often": 100, "deep": {"one": 1}}))
    proxy = start(ads_bootstrap(control, listeners=[listener()], layered_runtime=layers(
        {"name": "over", "rtds_layer": {"name": "dynamic", "rtds_config": ADS}})),
        args=["--strict"])
    control.wait("rtds")
    wait_for(lambda: proxy.get("/").text == "on", what="the value of the layer")
    assert proxy.stat("xylem.config.fields_ignored") == 0


def test_two_admin_layers_are_refused(kind, tmp_path):
    config = tmp_path / "b.json"
    config.write_text(json.dumps({"layered_runtime": layers(
        {"name": "a", "admin_layer": {}}, {"name": "b", "admin_layer": {}})}))
    code, out, err = run_once(kind, ["-c", str(config), "--mode", "validate"], tmp_path)
    assert code == 1
    assert "Too many admin layers specified in LayeredRuntime" in out + err


def logged(path):
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("sampled, expected", [
    ({"percent_sampled": {"numerator": 50}}, ["00000031", "00000000"]),
    ({"runtime_key": "few"}, ["00000000"]),
    ({"runtime_key": "parts", "percent_sampled": {"denominator": "TEN_THOUSAND"}},
     ["00000031", "00000000"]),
    ({"runtime_key": "fraction", "percent_sampled": {"numerator": 100}},
     ["00000031", "00000032", "ffffffff", "00000000"]),
    ({"runtime_key": "none", "percent_sampled": {"numerator": 50}}, ["00000031", "00000000"]),
    ({"runtime_key": "text", "percent_sampled": {"numerator": 100, "denominator": "MILLION"}},
     ["00000031", "00000032", "00000000"]),
], ids=["default", "number", "of-ten-thousand", "fraction", "no-value", "no-number"])
def test_sampled_access_logs(start, tmp_path, sampled, expected):
    """By the first digits of the request's ID, so that all who log it agree."""
    log = tmp_path / "log"
    entry_ = file_log(log, "%REQ(X-REQUEST-ID)%\n")
    entry_["filter"] = {"runtime_filter": {"runtime_key": "not.set", **sampled}}
    proxy = start(bootstrap(
        [http_listener(routes=[direct(200, "hello")], access_log=[entry_],
                       preserve_external_request_id=True)],
        layered_runtime=layers({"name": "low", "static_layer": {
            "few": 1, "text": "much", "parts": 50,
            "fraction": {"numerator": 5000, "denominator": "MILLION"}}})))
    for number in ("00000031", "00000032", "ffffffff", "00000000"):
        proxy.get("/", headers={"x-request-id": f"{number}-58cc-4372-a567-0e02b2c3d479"})
    proxy.stop()
    assert [line[:8] for line in logged(log)] == expected


def test_access_logs_follow_the_runtime(start, tmp_path):
    log = tmp_path / "log"
    sampled = file_log(log, "sampled:%RESPONSE_CODE%\n")
    sampled["filter"] = {"runtime_filter": {"runtime_key": "often"}}
    bad = file_log(log, "bad:%RESPONSE_CODE%\n")
    bad["filter"] = {"status_code_filter": {"comparison": {
        "op": "GE", "value": {"default_value": 500, "runtime_key": "worst"}}}}
    proxy = start(bootstrap(
        [http_listener(routes=[direct(404, "no", prefix="/404"), direct(200, "yes")],
                       access_log=[sampled, bad])],
        layered_runtime=layers({"name": "mine", "admin_layer": {}})))
    proxy.get("/404")
    proxy.admin("/runtime_modify?often=100&worst=404", "POST")
    wait_for(lambda: entry(proxy, "worst"), what="the new value")
    proxy.get("/404")
    proxy.get("/")
    proxy.admin("/runtime_modify?often=0&worst=", "POST")
    wait_for(lambda: entry(proxy, "worst") is None, what="the old value")
    proxy.get("/404")
    proxy.stop()
    assert logged(log) == ["sampled:404", "bad:404", "sampled:200"]
