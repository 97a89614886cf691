//! Attempts of two dialects at once, and callers who leave: whoever isn't read
//! any more is cancelled.

use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{CALLERS, UNSHARED, assert_ok, both, line, named};
use crate::stage::parrot::repeat;
use crate::stage::scripted::{Beat, Played, Scripted, events, json as whole};
use crate::stage::{Caller as Connection, Stage};

/// Held by a provider's answer, whose end each of them tells.
type Held = mpsc::Receiver<oneshot::Sender<()>>;

/// A provider that says what `says` makes of its path and no more, where that
/// is something; else it repeats what it was asked.
async fn hanging(
    says: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> (Scripted, Held) {
    let (hold, held) = mpsc::channel(8);
    let provider = Scripted::start(move |seen| {
        let answer = match says(seen.uri.path()) {
            None => repeat(&seen),
            Some(said) => {
                let (end, wait) = oneshot::channel();
                hold.try_send(end).unwrap();
                let beats = [Beat::Data(said.into()), Beat::Until(wait), Beat::Hang];
                match seen.text().contains("\"stream\":true") {
                    true => events(Played::steps(beats)),
                    false => whole(200, "").map(|_| Played::steps(beats)),
                }
            }
        };
        std::future::ready(answer)
    })
    .await;
    (provider, held)
}

/// Waits until the provider's answer was dropped.
async fn gone(held: &mut Held) {
    held.recv().await.unwrap().closed().await;
}

#[tokio::test]
async fn a_hedge_of_the_other_dialect_wins_and_the_late_one_is_cancelled() {
    let (chat, messages) = ("/v1/chat/completions", "/v1/messages");
    let models = "[models.chat-first]\ntargets = [\"openai/gpt-x\", \"anthropic/claude-x\"]\nhedge = \"20ms\"\n\
         [models.messages-first]\ntargets = [\"anthropic/claude-x\", \"openai/gpt-x\"]\nhedge = \"20ms\"\n\
         [hedge]\nbudget = 1.0\n[retry]\nattempts = 2\n";
    for (model, late, by) in [
        ("chat-first", chat, "anthropic"),
        ("messages-first", messages, "openai"),
    ] {
        let (provider, mut held) = hanging(move |path| {
            // A sign of life is no content, in either dialect.
            (path == late).then(|| ": hello\n\n".to_owned())
        })
        .await;
        let stage = Stage::set(&both(&provider, &format!("{UNSHARED}\n{models}")));
        for caller in CALLERS {
            for stream in [false, true] {
                let request = caller.call_of(model, "one two", &json!({"stream": stream}));
                let answer = stage.call(request).await;
                assert_ok(&answer);
                let said = match stream {
                    true => caller.heard(answer.text()),
                    false => (caller.said(&answer.json()), true),
                };
                assert_eq!(said, ("one two".to_owned(), true), "{caller:?} {model}");
                assert_eq!(answer.header("x-nowait-provider"), by);
                assert_eq!(answer.header("x-nowait-attempts"), "2");
                assert!(answer.header("server-timing").contains("hedge;dur="));
                gone(&mut held).await;
            }
        }
    }
}

#[tokio::test]
async fn a_caller_who_leaves_a_stream_cancels_it_at_the_provider() {
    for caller in CALLERS {
        let stream = caller.events("one two three");
        let at = stream.find("three").unwrap();
        let begun = stream[..stream[..at].rfind("\n\n").unwrap() + 2].to_owned();
        let (provider, mut held) = hanging(move |_| Some(begun.clone())).await;
        for more in [UNSHARED, "[cache]\nshare = \"all\""] {
            let stage = Stage::set(&both(&provider, more));
            let mut connection = Connection::connect(stage.address()).await;
            let request = named(caller.call("x", &json!({"stream": true})), "id-1");
            let mut body = connection.begin(request).await.into_body();
            let mut got = String::new();
            while !got.contains(" two") {
                let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
                got.push_str(std::str::from_utf8(&piece).unwrap());
            }
            drop((body, connection));
            gone(&mut held).await;
            let lines = stage.strike().await;
            let line = line(&lines, "id-1");
            assert_eq!(line["cancelled"], true, "{line}");
            assert_eq!(line["provider"], caller.provider(), "{line}");
        }
    }
}

/// What is behind the head of a stream is told behind it.
#[tokio::test]
async fn totals_and_losses_follow_a_stream() {
    let (provider, _held) = hanging(|_| None).await;
    let stage = Stage::set(&both(&provider, UNSHARED));
    for caller in CALLERS {
        let call = || caller.call("one two", &json!({"stream": true}));
        let answer = stage.call(call()).await;
        assert!(answer.trailers.is_none());
        assert_eq!(answer.header("trailer"), "");
        let mut http2 = Connection::connect_h2(stage.address()).await;
        let answer = http2.call(call()).await;
        assert_ok(&answer);
        assert_eq!(answer.header("trailer"), "server-timing, x-nowait-dropped");
        let trailers = answer.trailers.unwrap();
        let totals = trailers["server-timing"].to_str().unwrap();
        for phase in ["ttft;dur=", "gateway;dur=", "total;dur="] {
            assert!(totals.contains(phase), "{caller:?}: {totals}");
        }
    }
}
