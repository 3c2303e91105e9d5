//! The dialects that are spoken in a storm: one description with all that can differ between backends, and plain HTTP.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use http::Request;
use jobwatch::Dialect;
use percent_encoding::percent_decode_str;
use url::Url;

/// The origin of the base address.
pub(crate) const HOME: &str = "https://api.example.com";
/// An origin that may be asked, too.
pub(crate) const ABROAD: &str = "https://b.example.com";
/// What nobody may be sent to.
pub(crate) const FOREIGN: [&str; 3] =
    ["https://evil.example.net", "http://api.example.com", "https://api.example.com:444"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    None,
    Plain,
    /// An end is asked for once more, alone.
    Detail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Results {
    Inline,
    /// Behind a path of the dialect's.
    Path,
    /// At an address that the answer tells.
    Follow,
}

/// One way to speak.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Speech {
    pub(crate) dialect: Dialect,
    pub(crate) lists: Lists,
    pub(crate) results: Results,
    pub(crate) keyed: bool,
    /// A create tells where its job is asked for.
    pub(crate) tells_address: bool,
    /// The result may be missing for a while after the success.
    pub(crate) late_results: bool,
    /// An answer names its job, and is believed of no other.
    pub(crate) names_jobs: bool,
    /// Plain HTTP: 202, 303, 200.
    pub(crate) by_status: bool,
}

/// So many ids may stand in one list.
pub(crate) const MOST_IN_LIST: usize = 5;

/// The ways to speak, read once.
pub(crate) fn speeches() -> &'static [Speech] {
    static ALL: OnceLock<Vec<Speech>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = vec![plain_http(), plain_http()];
        for lists in [Lists::None, Lists::Plain, Lists::Detail] {
            for results in [Results::Inline, Results::Path, Results::Follow] {
                for flags in 0..16_u8 {
                    let flag = |bit: u8| flags >> bit & 1 > 0;
                    all.push(described(lists, results, [flag(0), flag(1), flag(2), flag(3)]));
                }
            }
        }
        all
    })
}

fn plain_http() -> Speech {
    Speech {
        dialect: Dialect::preset("rfc9110").unwrap(),
        lists: Lists::None,
        results: Results::Follow,
        keyed: false,
        tells_address: true,
        late_results: false,
        names_jobs: false,
        by_status: true,
    }
}

fn described(lists: Lists, results: Results, [keyed, tells_address, late, names_jobs]: [bool; 4]) -> Speech {
    let late_results = late && results == Results::Inline;
    let mut text = String::from("name = \"storm\"\n[create]\npath = \"/jobs\"\n");
    if keyed {
        text += "idempotency_header = \"idempotency-key\"\nidempotency_ttl = \"1h\"\nin_progress = [\"in_progress\"]\n";
    }
    text += "[job]\nid = \"/id\"\n";
    if tells_address {
        text += "poll_url = { header = \"operation-location\" }\n";
    }
    text += "[poll]\npath = \"/jobs/{id}\"\n";
    if names_jobs {
        text += "id = \"/id\"\n";
    }
    text += "[state]\npointer = \"/state\"\n";
    text += WORDS;
    if late_results {
        text += "[[refine]]\nwhen = \"succeeded\"\nabsent = \"/cake\"\nthen = \"running\"\nfor = \"20s\"\nask_again = \"1s\"\n";
    }
    text += "[error]\npointer = \"/error/message\"\ncode = \"/error/code\"\n[result]\n";
    text += match results {
        Results::Inline => "pointer = \"/cake\"\n",
        Results::Path => "pointer = \"/cake\"\npath = \"/jobs/{id}/cake\"\n",
        Results::Follow => "pointer = \"/cake\"\nfollow = \"/cake_at\"\n",
    };
    if lists != Lists::None {
        let detail = lists == Lists::Detail;
        let list = format!(
            "[bulk]\npath = \"/jobs?ids={{ids}}\"\nmax = {MOST_IN_LIST}\nitems = \"/jobs\"\nid = \"/id\"\nnext = \"/next\"\n\
             next_parameter = \"page\"\ndetail = {detail}\n[bulk.state]\npointer = \"/state\"\n{WORDS}"
        );
        text += &list;
    }
    let dialect = Dialect::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Speech { dialect, lists, results, keyed, tells_address, late_results, names_jobs, by_status: false }
}

const WORDS: &str = r#"pending = ["queued"]
running = ["baking"]
succeeded = ["baked"]
failed = ["burnt"]
cancelled = ["eaten"]
lost = ["unknown"]
"#;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Create,
    Look(String),
    Result(String),
    List { ids: Vec<String>, page: usize },
}

/// A request as the backend sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) origin: String,
    pub(crate) url: String,
    pub(crate) ask: Ask,
    pub(crate) api_key: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

impl Asked {
    pub(crate) fn of(request: &Request<Vec<u8>>) -> Self {
        let url = Url::parse(&request.uri().to_string()).unwrap();
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let segments: Vec<String> = url.path_segments().unwrap().skip(1).map(decoded).collect();
        let query: BTreeMap<&str, &str> =
            url.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('=')).collect();
        let ask = match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            _ if request.method() == "POST" => Ask::Create,
            ["jobs"] => {
                let ids = query.get("ids").unwrap().split(',').map(decoded).collect();
                Ask::List { ids, page: query.get("page").map_or(0, |page| page.parse().unwrap()) }
            }
            ["jobs", id] | ["moved", id, _] => Ask::Look((*id).to_owned()),
            ["jobs", id, "cake"] => Ask::Result((*id).to_owned()),
            other => panic!("asked for {other:?} at {url}"),
        };
        let origin = url.origin().ascii_serialization();
        let (api_key, idempotency_key) = (header("x-api-key"), header("idempotency-key"));
        Self { origin, ask, api_key, idempotency_key, url: url.into() }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

/// An id as it stands in an address.
pub(crate) fn encoded(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}
