//! The fuzz targets' entry points with some thousand seeded inputs: documents and
//! patches of the right shape with wrong parts, and damaged bytes of such.

#[path = "../fuzz/entries.rs"]
mod entries;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

/// Makes inputs.
struct Maker(Pcg64Mcg);

/// Names that mean something to the code, and some that mean nothing.
const KEYS: &[&str] = &[
    "a",
    "b",
    "metadata",
    "data",
    "spec",
    "status",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "fieldsV1",
    "uid",
    "name",
    "type",
    "conditions",
    "template",
    "containers",
    "env",
    "traffic",
    "$patch",
    "$retainKeys",
    "$setElementOrder/finalizers",
    "$deleteFromPrimitiveList/finalizers",
    "$setElementOrder/ownerReferences",
    "f:a",
    "f:metadata",
    "k:{\"uid\":\"1\"}",
    "v:\"x\"",
    "i:0",
    ".",
    "",
    "é",
];

const WORDS: &[&str] = &[
    "",
    "x",
    "1",
    "a/b",
    "replace",
    "delete",
    "merge",
    "Apply",
    "Update",
    "v1",
    "/a",
    "/data/x",
    "/-",
    "/metadata/finalizers/0",
    "/metadata/finalizers/-",
    "add",
    "remove",
    "copy",
    "move",
    "test",
    "\u{0}",
];

impl Maker {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    fn word(&mut self) -> Value {
        json!(WORDS[self.below(WORDS.len())])
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.below(3)),
            2 => json!(self.below(2) == 0),
            3 | 4 => self.word(),
            5 | 6 => {
                let items = self.below(4);
                (0..items).map(|_| self.value(depth - 1)).collect()
            }
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let fields = self.below(5);
        let pairs =
            (0..fields).map(|_| (KEYS[self.below(KEYS.len())].to_owned(), self.value(depth)));
        Value::Object(pairs.collect::<Map<String, Value>>())
    }

    /// A document in which the fields that merge are often there.
    fn document(&mut self) -> Value {
        let mut document = self.object(4);
        if self.below(2) == 0 {
            document["metadata"] = json!({
                "name": "x",
                "finalizers": self.value(2),
                "ownerReferences": [{"uid": self.word()}, {"uid": "1", "x": self.value(1)}],
                "managedFields": [
                    {"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsV1": self.value(4)},
                ],
            });
        }
        if self.below(3) == 0 {
            document["spec"] = json!({"template": {"spec": {"containers": [
                {"name": self.word(), "env": [{"name": "A", "value": self.word()}, self.value(2)]},
            ]}}});
        }
        document
    }

    fn operations(&mut self) -> Value {
        let count = self.below(8);
        let one = |maker: &mut Maker| {
            let words = ["add", "remove", "replace", "move", "copy", "test", "x"];
            json!({
                "op": words[maker.below(words.len())],
                "path": maker.pointer(), "from": maker.pointer(), "value": maker.value(3),
            })
        };
        (0..count).map(|_| one(self)).collect()
    }

    fn pointer(&mut self) -> String {
        let steps = self.below(4);
        (0..steps)
            .map(|_| match self.below(3) {
                0 => format!("/{}", self.below(3)),
                _ => format!("/{}", KEYS[self.below(KEYS.len())].replace('/', "~1")),
            })
            .collect()
    }

    /// Sometimes breaks a few bytes.
    fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.below(4) != 0 || bytes.is_empty() {
            return bytes;
        }
        for _ in 0..1 + self.below(3) {
            let place = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[place] = self.0.next_u64() as u8,
                1 => bytes.insert(place, b"{}[]\",:0"[self.below(8)]),
                _ if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => {}
            }
        }
        bytes
    }
}

#[test]
fn documents_of_every_kind_are_read_or_refused() {
    let mut maker = Maker(Pcg64Mcg::seed_from_u64(1));
    for _ in 0..3_000 {
        let text = maker.document().to_string().into_bytes();
        entries::decode(&maker.damaged(text));
        let fields = maker.object(4).to_string().into_bytes();
        entries::decode(&maker.damaged(fields));
    }
    for selector in ["a in (b,c),!d,e!=f,g>1", "type=a\\,b,reason!=c", "a;q=0.5,b;as=Table;g=x"] {
        for _ in 0..300 {
            let bytes = selector.as_bytes().to_vec();
            entries::decode(&maker.damaged(bytes));
        }
    }
}

#[test]
fn patches_of_every_kind_are_applied_or_refused() {
    let mut maker = Maker(Pcg64Mcg::seed_from_u64(2));
    let mut done = [0; 4];
    for round in 0..8_000u32 {
        let mut input = vec![round as u8];
        input.extend(maker.document().to_string().into_bytes());
        input.push(0);
        let change = match round % 4 {
            0 => maker.operations(),
            _ => maker.document(),
        };
        input.extend(maker.damaged(change.to_string().into_bytes()));
        if entries::patch(&input) {
            done[round as usize % 4] += 1;
        }
    }
    // Of each kind enough get through that what they make is checked too.
    assert!(done.iter().all(|count| *count > 200), "{done:?}");
}
