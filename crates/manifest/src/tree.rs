//! A document as a tree in which everything has its position.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A document with the position of everything in it.
#[derive(Debug)]
pub(crate) enum Tree {
    Map(BTreeMap<String, Spanned<Tree>>, BTreeMap<String, Location>),
    List(Vec<Spanned<Tree>>),
    Leaf,
    Null,
}

impl Tree {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Tree::Null)
    }
}

/// Where the field `path` is; its nearest parent when it is absent.
pub(crate) fn find(tree: &Spanned<Tree>, path: &str) -> Option<Location> {
    let mut here = tree;
    let mut rest = path;
    let mut found = None;
    while !rest.is_empty() {
        let (next, place, after) = match &here.value {
            Tree::Map(values, keys) => {
                let key = longest_key(keys, rest)?;
                (values.get(key), keys.get(key).copied(), &rest[key.len()..])
            }
            Tree::List(items) => {
                let (index, after) =
                    rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))?;
                let item = index.parse().ok().and_then(|index: usize| items.get(index));
                (item, item.map(|item| item.referenced), after)
            }
            Tree::Leaf | Tree::Null => return found,
        };
        found = place.or(found);
        let Some(next) = next else { return found };
        (here, rest) = (next, after.strip_prefix('.').unwrap_or(after));
        // What is absent from here on has this as its nearest parent.
        if matches!(&here.value, Tree::Map(_, keys) if longest_key(keys, rest).is_none()) {
            return found;
        }
    }
    found
}

/// The key that a path begins with. Keys may hold dots, so the longest one is meant.
fn longest_key<'a>(keys: &'a BTreeMap<String, Location>, path: &str) -> Option<&'a str> {
    let begins = |key: &&String| {
        path.strip_prefix(key.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    keys.keys().filter(begins).max_by_key(|key| key.len()).map(String::as_str)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let (mut values, mut keys) = (BTreeMap::new(), BTreeMap::new());
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            keys.insert(key.value.clone(), key.referenced);
            values.insert(key.value, map.next_value()?);
        }
        Ok(Tree::Map(values, keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }
}
