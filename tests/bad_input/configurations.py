"""Configurations: YAML files and settings."""

from tests.bad_input.kinds import kind, put

FAMILY = "Configurations"
FILE = "bad.yaml"


def written(content):
    """Check a configuration of this content."""
    put(FILE, content)
    return "check-config", "--config", FILE


@kind(FAMILY, "no such file", FILE, "no such configuration")
def missing(folder):
    return "check-config", "--config", FILE


@kind(FAMILY, "not a text file", FILE, "not a text file, so no configuration")
def binary(folder):
    return written(b"\xff\xfe\x00mix")


@kind(FAMILY, "not YAML", FILE, "not valid YAML")
def no_yaml(folder):
    return written("mix: [1, 2\n")


@kind(FAMILY, "nested ten thousand times", FILE, "nested too deeply")
def nested(folder):
    return written("a: " + "[" * 10_000)


@kind(FAMILY, "a tag that would make an object", FILE, "could not determine a constructor for the tag")
def object_tag(folder):
    return written("mix: !!python/object/apply:os.system ['touch ESCAPED']\n")


@kind(FAMILY, "a key twice", FILE, "key 'rate' stands twice")
def key_twice(folder):
    return written("mix: {rate: 8000, rate: 16000}\n")


@kind(FAMILY, "a list in place of sections", FILE, "expected a mapping of sections, got list")
def no_mapping(folder):
    return written("- mix\n")


@kind(FAMILY, "an unknown section", FILE, "unknown section 'mixing'")
def section(folder):
    return written("mixing: {rate: 8000}\n")


@kind(FAMILY, "an unknown key", FILE, "mix: unknown key 'ratio'")
def key(folder):
    return written("mix: {ratio: 8000}\n")


@kind(FAMILY, "a value of another type", FILE, "mix.rate: expected a whole number from 4000 to 192000, got 'fast'")
def type_of_value(folder):
    return written("mix: {rate: fast}\n")


@kind(FAMILY, "a value in place of a section", FILE, "mix: expected a mapping, got 3")
def no_section(folder):
    return written("mix: 3\n")


@kind(FAMILY, "an unknown part", FILE, "unknown backbone 'dual'")
def part(folder):
    return written("model: {backbone: dual}\n")


@kind(FAMILY, "a name of a set that leads out of the folder", FILE, "mix.sets: expected a name of letters")
def set_name(folder):
    return written("mix: {sets: {../tt: 3}}\n")


@kind(FAMILY, "a base that is the file itself", FILE, "is its own base")
def own_base(folder):
    return written(f"base: {FILE}\n")


@kind(FAMILY, "a setting without a value", "--set mix.rate", "expected 'section.key=value'")
def setting(folder):
    return "check-config", "--config", "c.yaml", "--set", "mix.rate"
