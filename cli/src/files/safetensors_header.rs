//! The JSON header of a safetensors file, read with bounded memory: few entries, few sizes, nothing nested further.

use crate::files::safetensors::Metadata;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

/// Most tensors, and most words of `__metadata__`.
const MAX_ENTRIES: usize = 10_000;

/// Most sizes of a tensor.
const MAX_SIZES: usize = 8;

/// A header.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// `__metadata__`.
    pub metadata: Metadata,
    /// What is said of each tensor; no name twice.
    pub entries: Vec<(String, Entry)>,
}

/// What the header says of a tensor.
#[derive(Debug, serde::Deserialize)]
#[serde(expecting = "a tensor: dtype, shape and data_offsets")]
pub(super) struct Entry {
    /// Name of the number type.
    pub dtype: String,
    /// Sizes, outermost first.
    pub shape: Sizes,
    /// First byte and the one after the last, counted from the end of the header.
    pub data_offsets: [u64; 2],
}

/// The sizes of a tensor.
#[derive(Debug)]
pub(super) struct Sizes(pub Vec<usize>);

impl Header {
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| format!("the header is not JSON of this layout ({e})"))
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let (mut out, mut names) = (Header::default(), BTreeSet::new());
                while let Some(name) = map.next_key::<String>()? {
                    if names.len() > MAX_ENTRIES {
                        return Err(de::Error::custom(format!("more than {MAX_ENTRIES} tensors")));
                    }
                    if !names.insert(name.clone()) {
                        return Err(de::Error::custom(format!("'{name}' stands there twice")));
                    }
                    if name == "__metadata__" {
                        out.metadata = map.next_value::<Words>()?.0;
                    } else {
                        out.entries.push((name, map.next_value()?));
                    }
                }
                Ok(out)
            }
        }
        from.deserialize_map(Fields)
    }
}

struct Words(Metadata);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words by key")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words, A::Error> {
                let mut out = Metadata::new();
                while let Some((key, word)) = map.next_entry()? {
                    out.insert(key, word);
                    if out.len() > MAX_ENTRIES {
                        return Err(de::Error::custom(format!("more than {MAX_ENTRIES} words in __metadata__")));
                    }
                }
                Ok(Words(out))
            }
        }
        from.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Sizes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sizes, A::Error> {
                let mut out = Vec::new();
                while let Some(size) = list.next_element()? {
                    out.push(size);
                    if out.len() > MAX_SIZES {
                        return Err(de::Error::custom(format!("at most {MAX_SIZES} sizes are read")));
                    }
                }
                Ok(Sizes(out))
            }
        }
        from.deserialize_seq(List)
    }
}
