//! Writes a legacy completion call: for a request that is one prompt and
//! nothing else.

use crate::dialect::ir::{Content, Request, Role, Setting, Settings, Text};
use crate::dialect::members::ObjectWriter;
use crate::dialect::translate::{Outgoing, Target};
use crate::error::Error;

pub(super) fn encode(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    let Some(prompt) = prompt(request) else {
        let say = "translating the request: this provider goes on with one text, and the call is a conversation; \
                   name a model that is talked to";
        return Err(Error::invalid(say).param("messages"));
    };
    out.path = "/completions".into();
    let mut body = std::mem::take(&mut out.body);
    let mut call = ObjectWriter::begin(&mut body);
    call.text("model", target.model).said("prompt", prompt);
    settings(&mut call, &request.settings, out);
    if request.stream {
        call.flag("stream", true);
        let mut options = call.object("stream_options");
        options.flag("include_usage", true);
        options.end();
    }
    call.end();
    out.body = body;
    for (path, _) in &request.unknown {
        out.losses.dropped(path);
    }
    Ok(())
}

/// The text that is all of it.
fn prompt<'r, 'a>(request: &'r Request<'a>) -> Option<&'r Text<'a>> {
    let [turn] = &request.turns[..] else {
        return None;
    };
    let [part] = &turn.parts[..] else { return None };
    match &part.content {
        Content::Text { text, .. } if turn.role == Role::User && request.tools.is_empty() => {
            Some(text)
        }
        _ => None,
    }
}

fn settings(call: &mut ObjectWriter<'_>, settings: &Settings<'_>, out: &mut Outgoing) {
    let Settings {
        max_tokens,
        temperature,
        top_p,
        top_k,
        seed,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        stop,
        choices,
        logprobs,
        tool_choice,
        parallel_tools,
        form,
        reasoning,
        verbosity,
        user,
        metadata,
        service_tier,
        cache_key,
        cache_retention,
        modalities,
        audio,
        store,
    } = settings;
    for (name, given) in [
        ("max_tokens", max_tokens),
        ("n", choices),
        ("logprobs", logprobs),
    ] {
        if let Some(given) = given {
            call.count(name, given.value);
        }
    }
    for (name, given) in [
        ("temperature", temperature),
        ("top_p", top_p),
        ("seed", seed),
        ("frequency_penalty", frequency_penalty),
        ("presence_penalty", presence_penalty),
        ("logit_bias", logit_bias),
    ] {
        call.json_if(name, given.as_ref().map(|given| &given.value));
    }
    if let Some(stop) = stop {
        let mut list = call.list("stop");
        stop.value.iter().for_each(|text| text.write(list.next()));
        list.end();
    }
    call.said_if("user", user.as_ref().map(|given| &given.value));
    lose(top_k, out);
    lose(tool_choice, out);
    lose(parallel_tools, out);
    lose(form, out);
    lose(reasoning, out);
    lose(verbosity, out);
    lose(metadata, out);
    lose(service_tier, out);
    lose(cache_key, out);
    lose(cache_retention, out);
    lose(modalities, out);
    lose(audio, out);
    lose(store, out);
}

fn lose<T>(given: &Setting<T>, out: &mut Outgoing) {
    if let Some(given) = given {
        out.losses.dropped(given.path);
    }
}
