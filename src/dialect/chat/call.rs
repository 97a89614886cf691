//! Writes a chat call.

mod reasoning;
mod turns;

pub(in crate::dialect) use reasoning::effort;
pub(in crate::dialect) use turns::write_url;

use super::model::Model;
use crate::dialect::MaxTokensField;
use crate::dialect::ids;
use crate::dialect::ir::{
    Effort, Form, Given, Json, Request, Setting, Settings, Text, Tier, Tool, ToolChoice, ToolKind,
};
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::{Outgoing, Target};
use crate::error::Error;

/// The longest name of a tool that OpenAI takes.
const LONGEST_NAME: usize = 64;

/// The most stop texts OpenAI takes.
const MOST_STOPS: usize = 4;

/// Writes `request` for `target`.
pub(super) fn encode(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    out.path = "/chat/completions".into();
    let mut body = std::mem::take(&mut out.body);
    let mut call = ObjectWriter::begin(&mut body);
    call.text("model", target.model);
    turns::write(&mut call, request, target, out)?;
    write_tools(&mut call, request, target, out);
    settings(&mut call, request, target, out)?;
    if request.stream {
        call.flag("stream", true);
        // The way back needs the counts: other formats always tell them.
        if !target.quirks.refuses.has("stream_options") {
            let mut options = call.object("stream_options");
            options.flag("include_usage", true);
            options.end();
        }
    }
    call.end();
    out.body = body;
    for (path, _) in &request.unknown {
        out.losses.dropped(path);
    }
    Ok(())
}

fn settings(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
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
    } = &request.settings;
    let model = Model::of(target.model);
    if let Some(limit) = max_tokens {
        let field = match model.limits_completion() {
            true => MaxTokensField::MaxCompletionTokens,
            false => target.quirks.limit_field(),
        };
        call.count(field.as_str(), limit.value);
    }
    let effort = effort(reasoning, model, &mut out.losses);
    let refused = model.samples_its_way(effort.is_some_and(|effort| effort != Effort::None));
    let mut to = Taker { target, out };
    for (given, name) in [
        (temperature, "temperature"),
        (top_p, "top_p"),
        (frequency_penalty, "frequency_penalty"),
        (presence_penalty, "presence_penalty"),
        (logit_bias, "logit_bias"),
    ] {
        to.sample(call, name, given, refused);
    }
    if let Some(top_k) = top_k {
        to.out.losses.dropped(top_k.path);
    }
    if let Some(stop) = to.takes("stop", stop) {
        write_stop(call, stop, to.out);
    }
    to.logprobs(call, logprobs, refused);
    let parallel = to.takes("parallel_tool_calls", parallel_tools);
    choose(call, request, tool_choice, parallel, to.out);
    if let Some(form) = form {
        write_form(call, &form.value);
    }
    reasoning::write(call, reasoning, effort, target, to.out);
    let seed_field = match target.quirks.random_seed {
        true => "random_seed",
        false => "seed",
    };
    to.json(call, "seed", seed_field, seed);
    for (given, name) in [
        (verbosity, "verbosity"),
        (user, "user"),
        (cache_key, "prompt_cache_key"),
        (cache_retention, "prompt_cache_retention"),
    ] {
        call.said_if(name, to.takes(name, given).map(|given| &given.value));
    }
    to.json(call, "metadata", "metadata", metadata);
    to.json(call, "modalities", "modalities", modalities);
    to.json(call, "audio", "audio", audio);
    if let Some(choices) = choices {
        if target.quirks.refuses.has("n") {
            return Err(target.one_answer(choices));
        }
        call.count("n", choices.value);
    }
    match to.takes("service_tier", service_tier).map(|it| &it.value) {
        None => {}
        Some(Tier::Auto) => drop(call.text("service_tier", "auto")),
        Some(Tier::Standard) => drop(call.text("service_tier", "default")),
        Some(Tier::Other(tier)) => drop(call.said("service_tier", tier)),
    }
    if let Some(store) = to.takes("store", store) {
        call.flag("store", store.value);
    }
    Ok(())
}

/// Writes settings as far as the provider takes them.
struct Taker<'t> {
    target: &'t Target<'t>,
    out: &'t mut Outgoing,
}

impl Taker<'_> {
    /// What was given, unless the provider refuses the field.
    fn takes<'s, T>(&mut self, name: &str, given: &'s Setting<T>) -> Option<&'s Given<T>> {
        let given = given.as_ref()?;
        if self.target.quirks.refuses.has(name) {
            self.out.losses.dropped(given.path);
            return None;
        }
        Some(given)
    }

    fn json(
        &mut self,
        call: &mut ObjectWriter<'_>,
        name: &str,
        field: &str,
        given: &Setting<Json<'_>>,
    ) {
        call.json_if(field, self.takes(name, given).map(|given| &given.value));
    }

    /// Writes a sampling parameter, unless the model refuses it.
    fn sample(
        &mut self,
        call: &mut ObjectWriter<'_>,
        name: &str,
        given: &Setting<Json<'_>>,
        refused: bool,
    ) {
        match given {
            // Which is what it is where nobody sets it.
            Some(given) if refused && given.value.as_f64() == Some(1.0) => {}
            Some(given) if refused => self.out.losses.dropped(given.path),
            given => self.json(call, name, name, given),
        }
    }

    fn logprobs(&mut self, call: &mut ObjectWriter<'_>, given: &Setting<u64>, refused: bool) {
        match self.takes("logprobs", given) {
            Some(given) if refused => self.out.losses.dropped(given.path),
            Some(given) => {
                call.flag("logprobs", true);
                if given.value > 0 {
                    call.count("top_logprobs", given.value);
                }
            }
            None => {}
        }
    }
}

fn write_stop(call: &mut ObjectWriter<'_>, stop: &Given<Vec<Text<'_>>>, out: &mut Outgoing) {
    if stop.value.len() > MOST_STOPS {
        let how = "was cut to its first four texts, the most that OpenAI takes";
        out.losses.changed(stop.path, how);
    }
    let mut list = call.list("stop");
    let texts = stop.value.iter().take(MOST_STOPS);
    texts.for_each(|text| text.write(list.next()));
    list.end();
}

fn choose(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    choice: &Setting<ToolChoice<'_>>,
    parallel: Option<&Given<bool>>,
    out: &mut Outgoing,
) {
    if request.tools.is_empty() {
        // To use none of none is nothing.
        if let Some(given) = choice.as_ref().filter(|it| it.value != ToolChoice::None) {
            out.losses.dropped(given.path);
        }
        return;
    }
    if let Some(given) = choice {
        write_choice(call, &given.value);
    }
    if let Some(given) = parallel {
        call.flag("parallel_tool_calls", given.value);
    }
}

fn write_form(call: &mut ObjectWriter<'_>, form: &Form<'_>) {
    let mut format = call.object("response_format");
    match form {
        Form::Object => drop(format.text("type", "json_object")),
        Form::Schema {
            name,
            description,
            schema,
            strict,
        } => {
            format.text("type", "json_schema");
            let mut inner = format.object("json_schema");
            match name {
                Some(name) => inner.said("name", name),
                None => inner.text("name", "answer"),
            };
            inner
                .said_if("description", description.as_ref())
                .raw("schema", schema.as_str());
            if let Some(strict) = strict {
                inner.flag("strict", *strict);
            }
            inner.end();
        }
    }
    format.end();
}

fn write_choice(call: &mut ObjectWriter<'_>, choice: &ToolChoice<'_>) {
    match choice {
        ToolChoice::Auto => drop(call.text("tool_choice", "auto")),
        ToolChoice::None => drop(call.text("tool_choice", "none")),
        ToolChoice::Required => drop(call.text("tool_choice", "required")),
        ToolChoice::Named(name) => {
            let mut object = call.object("tool_choice");
            object.text("type", "function");
            let mut function = object.object("function");
            function.said("name", &ids::fit(name, LONGEST_NAME));
            function.end();
            object.end();
        }
    }
}

fn write_tools(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) {
    let is_known = |tool: &&Tool<'_>| {
        matches!(
            tool.kind,
            ToolKind::Function { .. } | ToolKind::Custom { .. }
        )
    };
    let known: Vec<&Tool<'_>> = request.tools.iter().filter(is_known).collect();
    for tool in request.tools.iter().filter(|tool| !is_known(tool)) {
        out.losses.dropped(tool.at);
    }
    if known.is_empty() {
        return;
    }
    let mut tools = call.list("tools");
    for tool in known {
        write_tool(&mut tools, tool, target, out);
    }
    tools.end();
}

fn write_tool(
    tools: &mut ListWriter<'_>,
    tool: &Tool<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) {
    let mut object = tools.object();
    match &tool.kind {
        ToolKind::Function {
            name,
            description,
            parameters,
            strict,
        } => {
            object.text("type", "function");
            let mut function = object.object("function");
            function
                .said("name", &out.tool_name(name, LONGEST_NAME))
                .said_if("description", description.as_ref())
                .json_if("parameters", parameters.as_ref());
            if let Some(strict) = strict {
                function.flag("strict", *strict);
            }
            function.end();
        }
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            object.text("type", "custom");
            let mut custom = object.object("custom");
            custom
                .said("name", &out.tool_name(name, LONGEST_NAME))
                .said_if("description", description.as_ref())
                .json_if("format", format.as_ref());
            custom.end();
        }
        ToolKind::WebSearch | ToolKind::Hosted(_) => {}
    }
    turns::write_mark(&mut object, tool.cache, tool.at, target, &mut out.losses);
    object.end();
}
