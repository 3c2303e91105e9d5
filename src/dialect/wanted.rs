//! The parts of a body that a description has use for, read without the rest: what is not wanted takes no memory, however
//! large it is. It spoils the body where it breaks the grammar (RFC 8259), and not where it could not be kept: a number out
//! of range, half of a surrogate pair, an array in a thousand others.

use core::fmt;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::at;
use super::description::{Condition, Description, Place, Source};

/// What is wanted of the answers to each kind of request; made once, when the description is read.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Of an answer to a look: everything but the result, which most answers do not have.
    pub(super) look: Node,
    /// Of an answer that tells the states of many jobs.
    pub(super) list: Node,
    /// The result.
    pub(super) result: Node,
}

/// What is wanted at one place of a body, and below it.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// All that is there, whatever it is.
    whole: bool,
    fields: Vec<Field>,
    /// Of each element, if a list is there.
    each: Option<Box<Each>>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// The name as a place in a list, where it can be that (RFC 6901 §4).
    index: Option<usize>,
    node: Node,
}

#[derive(Debug)]
struct Each {
    node: Node,
    /// Elements without these are passed over.
    required: [String; 2],
}

impl Wanted {
    pub(super) fn by(description: &Description) -> Self {
        let mut list = look(description);
        if let Some(bulk) = &description.bulk {
            let mut node = Node::default();
            node.want(&bulk.id);
            node.want(&bulk.state);
            if let Some((next, _)) = &bulk.next {
                list.want(next);
            }
            list.want_each(&bulk.items, Each { node, required: [bulk.id.clone(), bulk.state.clone()] });
        }
        let mut result = Node::default();
        for pointer in &description.result.pointers {
            result.want(pointer);
        }
        Self { look: look(description), list, result }
    }
}

fn look(description: &Description) -> Node {
    let mut node = Node::default();
    let Description { poll_id, state, error, code, progress, times, .. } = description;
    let places = [poll_id, &state.place, error, code, &progress.place, &times.created, &times.started, &times.ended];
    let others = [description.cancel.as_ref().map(|cancel| &cancel.url), description.result.follow.as_ref()];
    for Place(sources) in places.into_iter().chain(others.into_iter().flatten()) {
        for source in sources {
            if let Source::Pointer(pointer) = source {
                node.want(pointer);
            }
        }
    }
    for refine in &description.refine {
        let (Condition::Present(pointer) | Condition::Absent(pointer) | Condition::Equals(pointer, _)) =
            &refine.condition;
        node.want(pointer);
    }
    let hint = description.hint_pointer.as_ref().map(|(pointer, _)| pointer);
    let envelope = description.envelope.as_ref().map(|envelope| &envelope.pointer);
    for pointer in [hint, envelope, progress.queue.as_ref()].into_iter().flatten() {
        node.want(pointer);
    }
    node
}

impl Node {
    /// Wants all that is at a JSON pointer.
    fn want(&mut self, pointer: &str) {
        self.below(pointer).whole = true;
    }

    /// Wants something of each element of the list at a JSON pointer.
    fn want_each(&mut self, pointer: &str, each: Each) {
        let node = self.below(pointer);
        // Of a list whose elements are wanted by their numbers, too, all is.
        node.whole |= node.fields.iter().any(|field| field.index.is_some());
        node.each = Some(Box::new(each));
    }

    fn below(&mut self, pointer: &str) -> &mut Self {
        pointer.split('/').skip(1).fold(self, |node, name| {
            let name = name.replace("~1", "/").replace("~0", "~");
            let place = node.fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
                let is_index = name == "0" || !name.starts_with(['0', '+']);
                let index = name.parse().ok().filter(|_| is_index);
                node.fields.push(Field { name, index, node: Self::default() });
                node.fields.len() - 1
            });
            &mut node.fields[place].node
        })
    }

    /// What is wanted of a body, in its place; `None` where the body is no JSON text. A list of which single elements are
    /// wanted is an object with their numbers as names, which pointers cannot tell from it.
    pub(super) fn read(&self, body: &[u8]) -> Option<Value> {
        let mut text = serde_json::Deserializer::from_str(str::from_utf8(body).ok()?);
        let value = self.deserialize(&mut text).ok()?;
        text.end().ok()?;
        Some(value)
    }
}

impl<'de> DeserializeSeed<'de> for &Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.whole {
            Value::deserialize(deserializer)
        } else if self.fields.is_empty() && self.each.is_none() {
            IgnoredAny::deserialize(deserializer).map(|_| Value::Null)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

/// Only what has something below it is visited: what has not is nobody's.
impl<'de> Visitor<'de> for &Node {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        if let Some(each) = &self.each {
            let mut kept = Vec::new();
            while let Some(element) = elements.next_element_seed(&each.node)? {
                if each.required.iter().all(|pointer| at(&element, pointer).is_some()) {
                    kept.push(element);
                }
            }
            return Ok(Value::Array(kept));
        }
        let mut kept = Map::new();
        for index in 0.. {
            let field = self.fields.iter().find(|field| field.index == Some(index));
            let is_there = match field {
                Some(field) => match elements.next_element_seed(&field.node)? {
                    Some(value) => {
                        kept.insert(field.name.clone(), value);
                        true
                    }
                    None => false,
                },
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_there {
                break;
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(field) = fields.next_key_seed(Named(&self.fields))? {
            match field {
                // Of a repeated name the last counts.
                Some(field) => drop(kept.insert(field.name.clone(), fields.next_value_seed(&field.node)?)),
                None => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(kept))
    }
}

/// Finds the field of a name, which is not kept.
struct Named<'a>(&'a [Field]);

impl<'de, 'a> DeserializeSeed<'de> for Named<'a> {
    type Value = Option<&'a Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Named<'a> {
    type Value = Option<&'a Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|field| field.name == name))
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn wanted(pointers: &[&str]) -> Node {
        let mut node = Node::default();
        for pointer in pointers {
            node.want(pointer);
        }
        node
    }

    #[test]
    fn what_is_not_wanted_is_not_there() {
        let node = wanted(&["/a/b", "/list/1/x", "/e~1s~0c"]);
        let body =
            r#"{"a":{"b":[1,{"c":2}],"z":-1e99},"list":[0,{"x":true,"y":0},2],"e/s~c":null,"more":["\ud83d\ude00"]}"#;
        let read = node.read(body.as_bytes()).unwrap();
        assert_eq!(read, json!({"a": {"b": [1, {"c": 2}]}, "list": {"1": {"x": true}}, "e/s~c": null}));
        assert_eq!(wanted(&[""]).read(b"[1,2]"), Some(json!([1, 2])));
        assert_eq!(wanted(&[]).read(b"[1,2]"), Some(Value::Null));
        for scalar in ["true", "-1", "1", "1.5", "\"text\"", "null"] {
            assert_eq!(node.read(scalar.as_bytes()), Some(Value::Null), "{scalar}");
        }
    }

    #[test]
    fn what_is_no_json_is_nothing() {
        for body in [&b""[..], b"{", b"{\"a\":}", b"{} {}", b"<html>", b"\"\xff\"", b"{\"z\":tru}", b"{\"a\" 1}"] {
            assert_eq!(wanted(&["/a"]).read(body), None, "{body:?}");
        }
    }

    #[test]
    fn what_is_not_wanted_need_not_be_kept() {
        let node = wanted(&["/state"]);
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for odd in ["1e400", "-1E+999", "[1,{\"x\":1e400}]", "\"\\ud83d\"", "123456789012345678901234567890", &deep] {
            let body = format!("{{\"a\":{odd},\"state\":\"up\",\"z\":[{odd}]}}");
            assert_eq!(node.read(body.as_bytes()), Some(json!({"state": "up"})), "{body}");
        }
        // What is wanted has to be kept.
        assert_eq!(node.read(br#"{"state":1e400}"#), None);
        assert_eq!(node.read(br#"{"a":01,"state":"up"}"#), None);
    }

    #[test]
    fn of_a_list_only_entries_that_say_something_are_kept() {
        let mut node = Node::default();
        let required = ["/id".to_string(), "/state".to_string()];
        node.want("/data/message");
        node.want_each("/data", Each { node: wanted(&["/id", "/state"]), required });
        let body = br#"{"data":[{"id":1,"state":"up","more":[]},{"id":2},{},3,[],{"state":"x","id":"y"}]}"#;
        assert_eq!(node.read(body), Some(json!({"data": [{"id": 1, "state": "up"}, {"state": "x", "id": "y"}]})));
        assert_eq!(node.read(br#"{"data":{"message":"no","id":1}}"#), Some(json!({"data": {"message": "no"}})));
        // By their numbers as well: then the whole list.
        let mut node = wanted(&["/0/error"]);
        node.want_each("", Each { node: wanted(&["/id"]), required: ["/id".to_string(), "/id".to_string()] });
        assert_eq!(node.read(br#"[{"error":1}]"#), Some(json!([{"error": 1}])));
    }

    /// Text that is nearly always JSON, with few names, so that pointers hit them.
    fn body() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab01/~]{0,2}", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Is it JSON by its grammar alone?
    fn is_json(text: &[u8]) -> bool {
        str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
    }

    /// JSON with something wrong in it, perhaps.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let torn = (body(), any::<prop::sample::Index>(), any::<Option<u8>>()).prop_map(|(body, place, byte)| {
            let mut text = body.to_string().into_bytes();
            let place = place.index(text.len());
            match byte {
                Some(byte) => text[place] = byte,
                None => text.truncate(place),
            }
            text
        });
        let odd =
            "[\\[{]{0,3}\"?(a|b)?\"?:?(1e999|1e9|-|0?1|\"\\\\u(d800|dc00|0041|12)\"|nul|null|\\[{200}1)[\\]}]{0,3}";
        prop_oneof![torn, odd.prop_map(Into::into)]
    }

    proptest! {
        /// What can be kept as a whole can be kept in parts, and nothing but JSON can; what is not wanted need only be that.
        #[test]
        fn the_same_bodies_are_json(text in text(), pointer in "(/([ab01]{0,2})){0,2}") {
            let (in_parts, is_json) = (wanted(&[&pointer]).read(&text).is_some(), is_json(&text));
            let as_a_whole = serde_json::from_slice::<Value>(&text).is_ok();
            prop_assert!(as_a_whole <= in_parts && in_parts <= is_json, "{}", String::from_utf8_lossy(&text));
            prop_assert_eq!(wanted(&[]).read(&text).is_some(), is_json, "{}", String::from_utf8_lossy(&text));
        }

        /// Through its pointers nobody can tell the wanted parts from the whole.
        #[test]
        fn pointers_find_the_same(
            body in body(),
            pointers in prop::collection::vec("(/([ab01]{0,2}|~0|~1|00|-)){0,3}", 0..4),
        ) {
            let pointers: Vec<_> = pointers.iter().map(String::as_str).collect();
            let read = wanted(&pointers).read(body.to_string().as_bytes()).unwrap();
            for pointer in pointers {
                prop_assert_eq!(at(&read, pointer), at(&body, pointer), "{}", pointer);
            }
        }
    }
}
