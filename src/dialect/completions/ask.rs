//! Reads a legacy completion call.

use crate::dialect::ir::{
    At, Content, Given, Json, Part, Request, Role, Setting, Settings, Text, Turn,
};
use crate::dialect::json::elements;
use crate::dialect::members::inside_quotes;
use crate::dialect::reading::Reading;
use crate::error::Error;

pub(super) fn decode(body: &str) -> Result<Request<'_>, Error> {
    let mut body = Reading::body(body)?;
    let mut request = Request {
        model: body.text("model")?.unwrap_or_default(),
        stream: body.flag("stream")?.unwrap_or(false),
        ..Request::default()
    };
    if let Some(mut options) = body.open("stream_options")? {
        request.include_usage = options.flag("include_usage")?.unwrap_or(false);
        options.ignore(&["include_obfuscation"]);
        options.leave(&mut request.unknown);
    }
    let prompt = prompt(&mut body)?;
    let at = At::field("prompt");
    request.say(Turn {
        role: Role::User,
        name: None,
        parts: vec![Part {
            content: Content::text(prompt),
            cache: None,
            at,
        }],
        at,
    });
    refuse_continuing(&mut body)?;
    request.settings = settings(&mut body)?;
    body.leave(&mut request.unknown);
    Ok(request)
}

fn prompt<'a>(body: &mut Reading<'a>) -> Result<Text<'a>, Error> {
    let Some(raw) = body.raw("prompt") else {
        return Err(body.wrong("prompt", "a text"));
    };
    if let Some(text) = Text::of_json(raw) {
        return Ok(text);
    }
    let list = elements(raw).unwrap_or_default();
    match list[..] {
        [] => Err(body.wrong("prompt", "a text")),
        [one] if inside_quotes(one).is_some() => {
            Text::of_json(one).ok_or_else(|| body.wrong("prompt", "a text"))
        }
        [first, ..] if inside_quotes(first).is_some() => Err(refused(
            "prompt",
            &format!(
                "holds {} prompts, and a model that is talked to answers one per call; send one, or all of them to \
                 /generate/batch",
                list.len()
            ),
        )),
        _ => Err(refused(
            "prompt",
            "holds tokens, which mean nothing to another provider; send a text",
        )),
    }
}

/// What a model that is talked to can't do.
fn refuse_continuing(body: &mut Reading<'_>) -> Result<(), Error> {
    if body.text("suffix")?.is_some_and(|text| !text.is_empty()) {
        return Err(refused(
            "suffix",
            "asks for words between two texts, which a model that is talked to doesn't write; leave it out",
        ));
    }
    if body.flag("echo")? == Some(true) {
        return Err(refused(
            "echo",
            "asks for the prompt as part of the answer, which a model that is talked to doesn't repeat; leave it out",
        ));
    }
    // One of one is the best.
    if body.count("best_of")?.is_some_and(|count| count > 1) {
        return Err(refused(
            "best_of",
            "asks for the best of several answers, which only OpenAI's older models choose; leave it out, or set n",
        ));
    }
    Ok(())
}

fn refused(path: &'static str, why: &str) -> Error {
    Error::invalid(format!("translating the request: {path} {why}")).param(path)
}

fn settings<'a>(body: &mut Reading<'a>) -> Result<Settings<'a>, Error> {
    let stop = body.texts("stop")?;
    let is_not_zero = |given: &Given<Json<'_>>| given.value.as_f64() != Some(0.0);
    Ok(Settings {
        // Its default of 16 is left to who counts on it to say.
        max_tokens: count(body, "max_tokens")?,
        temperature: number(body, "temperature")?,
        top_p: number(body, "top_p")?,
        seed: number(body, "seed")?,
        frequency_penalty: number(body, "frequency_penalty")?.filter(is_not_zero),
        presence_penalty: number(body, "presence_penalty")?.filter(is_not_zero),
        logit_bias: body
            .object("logit_bias")?
            .filter(|json| !json[1..json.len() - 1].trim_ascii().is_empty())
            .map(|json| Given::new("logit_bias", Json::scanned(json))),
        stop: (!stop.is_empty()).then(|| Given::new("stop", stop)),
        choices: count(body, "n")?.filter(|given| given.value > 1),
        logprobs: count(body, "logprobs")?,
        user: body.text("user")?.map(|user| Given::new("user", user)),
        ..Settings::default()
    })
}

fn number<'a>(body: &mut Reading<'a>, key: &'static str) -> Result<Setting<Json<'a>>, Error> {
    Ok(body.number(key)?.map(|number| Given::new(key, number)))
}

fn count(body: &mut Reading<'_>, key: &'static str) -> Result<Setting<u64>, Error> {
    Ok(body.count(key)?.map(|count| Given::new(key, count)))
}
