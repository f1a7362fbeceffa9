//! A JSON reader that refuses objects with duplicate keys.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// JSON whose objects have each key once. Other readers take the first or the last of two, or refuse both.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a key that stands twice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, _)) = map.next_entry::<String, Strict>()? {
            if let Some(key) = keys.replace(key) {
                return Err(A::Error::custom(format_args!("the key {key} stands twice")));
            }
        }
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strict, A::Error> {
        while list.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }
}

/// Checks the JSON that a value is printed as.
#[track_caller]
pub(crate) fn check_json(value: &impl serde::Serialize) {
    let json = serde_json::to_string(value).expect("it has a form in JSON");
    if let Err(why) = serde_json::from_str::<Strict>(&json) {
        panic!("{why}: {json}");
    }
}

#[test]
fn a_duplicate_key_is_noticed() {
    let read = |json: &str| serde_json::from_str::<Strict>(json).is_ok();
    assert!(read(r#"[{"a":1,"b":{"a":[null,true,-1,1.5,"a"]}}]"#));
    assert!(!read(r#"{"a":1,"a":1}"#) && !read(r#"[{"b":{"a":1,"c":2,"a":3}}]"#));
}
