//! Every state word of every preset, in any letter case, and words that nobody knows.

use crate::http_support::{START, response};
use crate::{Cancelled, Failed, PENDING, RUNNING, Succeeded, preset};
use jobwatch::{Dialect, Observation, Reading};

struct Words {
    preset: &'static str,
    /// An answer that has all that goes with success, and `WORD` for the state.
    answer: &'static str,
    pending: &'static [&'static str],
    running: &'static [&'static str],
    succeeded: &'static [&'static str],
    failed: &'static [&'static str],
    cancelled: &'static [&'static str],
}

const TABLE: [Words; 14] = [
    Words {
        preset: "heygen-v3",
        answer: r#"{"data":{"id":"t1","status":"WORD","video_url":"https://files.example/v.mp4"}}"#,
        pending: &["pending"],
        running: &["running"],
        succeeded: &["completed"],
        failed: &["failed"],
        cancelled: &[],
    },
    Words {
        preset: "heygen-v2",
        answer: r#"{"error":null,"data":{"video_translate_id":"t1","status":"WORD","url":null}}"#,
        pending: &["pending"],
        running: &["running"],
        succeeded: &["success"],
        failed: &["failed"],
        cancelled: &[],
    },
    Words {
        preset: "azure",
        answer: r#"{"id":"o1","status":"WORD"}"#,
        pending: &["NotStarted"],
        running: &["Running"],
        succeeded: &["Succeeded"],
        failed: &["Failed"],
        cancelled: &["Canceled", "Cancelled"],
    },
    Words {
        preset: "openai",
        answer: r#"{"id":"video_1","object":"video","status":"WORD"}"#,
        pending: &["validating", "queued"],
        running: &["in_progress", "finalizing", "cancelling"],
        succeeded: &["completed"],
        failed: &["failed", "expired"],
        cancelled: &["cancelled"],
    },
    Words {
        preset: "replicate",
        answer: r#"{"id":"p1","status":"WORD","error":null}"#,
        pending: &["starting"],
        running: &["processing"],
        succeeded: &["succeeded"],
        failed: &["failed", "aborted"],
        cancelled: &["canceled"],
    },
    Words {
        preset: "runway",
        answer: r#"{"id":"r1","status":"WORD"}"#,
        pending: &["PENDING", "THROTTLED"],
        running: &["RUNNING"],
        succeeded: &["SUCCEEDED"],
        failed: &["FAILED"],
        cancelled: &["CANCELLED"],
    },
    Words {
        preset: "fal",
        answer: r#"{"status":"WORD","error":null}"#,
        pending: &["IN_QUEUE"],
        running: &["IN_PROGRESS"],
        succeeded: &["COMPLETED"],
        failed: &[],
        cancelled: &[],
    },
    Words {
        preset: "luma",
        answer: r#"{"id":"l1","state":"WORD"}"#,
        pending: &["queued"],
        running: &["dreaming"],
        succeeded: &["completed"],
        failed: &["failed"],
        cancelled: &[],
    },
    Words {
        preset: "assemblyai",
        answer: r#"{"id":"a1","status":"WORD"}"#,
        pending: &["queued"],
        running: &["processing"],
        succeeded: &["completed"],
        failed: &["error"],
        cancelled: &[],
    },
    Words {
        preset: "elevenlabs-dubbing",
        answer: r#"{"dubbing_id":"d1","status":"WORD"}"#,
        pending: &["queued"],
        running: &["preparing", "dubbing"],
        succeeded: &["dubbed"],
        failed: &["failed"],
        cancelled: &[],
    },
    Words {
        preset: "anthropic-batches",
        answer: r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"WORD"}"#,
        pending: &[],
        running: &["in_progress", "canceling"],
        succeeded: &["ended"],
        failed: &[],
        cancelled: &[],
    },
    Words {
        preset: "x-media",
        answer: r#"{"data":{"id":"1","processing_info":{"state":"WORD"}}}"#,
        pending: &["pending"],
        running: &["in_progress"],
        succeeded: &["succeeded"],
        failed: &["failed"],
        cancelled: &[],
    },
    Words {
        preset: "bfl",
        answer: r#"{"id":"b1","status":"WORD","result":null}"#,
        pending: &["Pending"],
        running: &[],
        succeeded: &["Ready"],
        failed: &["Error", "Request Moderated", "Content Moderated", "Task not found"],
        cancelled: &[],
    },
    Words {
        preset: "bigquery",
        answer: r#"{"id":"p:US.j1","status":{"state":"WORD"}}"#,
        pending: &["PENDING"],
        running: &["RUNNING"],
        succeeded: &["DONE"],
        failed: &[],
        cancelled: &[],
    },
];

fn read(row: &Words, word: &str) -> Reading {
    preset(row.preset).read(&response(200, &[], row.answer.replace("WORD", word)), START)
}

#[test]
fn each_word_has_its_class_in_any_letter_case() {
    for row in &TABLE {
        let classes: [(&[&str], Observation); 5] = [
            (row.pending, PENDING),
            (row.running, RUNNING),
            (row.succeeded, Succeeded),
            (row.failed, Failed),
            (row.cancelled, Cancelled),
        ];
        for (words, class) in classes {
            for word in words {
                for written in [(*word).to_string(), word.to_lowercase(), word.to_uppercase()] {
                    let reading = read(row, &written);
                    assert_eq!(reading.observation, class, "{}: {written}", row.preset);
                    assert_eq!(reading.state, Some(written), "{}", row.preset);
                    assert!(!reading.unknown_state, "{}: {word}", row.preset);
                }
            }
        }
    }
}

/// Vendors add states, and what is not known to have ended goes on.
#[test]
fn an_unknown_word_is_running_and_reported() {
    for row in &TABLE {
        for word in ["hibernating", "done and dusted", "0"] {
            let reading = read(row, word);
            assert_eq!((reading.observation, reading.unknown_state), (RUNNING, true), "{}: {word}", row.preset);
            assert_eq!(reading.state.as_deref(), Some(word), "{}", row.preset);
        }
    }
}

/// No preset is left out but the two without words, and `tracker`, which other tests know.
#[test]
fn every_preset_with_words_is_in_the_table() {
    let mut known: Vec<_> = TABLE.iter().map(|row| row.preset).collect();
    known.extend(["tracker", "rfc9110", "google-lro"]);
    for name in Dialect::presets() {
        assert!(known.contains(&name), "{name}");
    }
}
