//! Writes a Messages call.

mod thinking;
mod turns;

use super::model::Model;
use crate::dialect::ids;
use crate::dialect::ir::{
    CacheMark, Form, Json, Request, Setting, Settings, Text, Tier, Tool, ToolChoice, ToolKind,
};
use crate::dialect::members::{ListWriter, ObjectWriter};
use crate::dialect::translate::{FORM_TOOL, FREE_TEXT, Outgoing, Target};
use crate::error::Error;

/// The longest name of a tool that the API takes.
const LONGEST_NAME: usize = 128;

/// A schema of no arguments.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes `request` for `target`.
pub(super) fn encode(
    request: &Request<'_>,
    target: &Target<'_>,
    out: &mut Outgoing,
) -> Result<(), Error> {
    let model = Model::of(target.model);
    out.path = "/v1/messages".into();
    let mut body = std::mem::take(&mut out.body);
    let mut call = ObjectWriter::begin(&mut body);
    call.text("model", target.model);
    settings(&mut call, request, target, model, out)?;
    turns::write(&mut call, request, target, out)?;
    if request.stream {
        call.flag("stream", true);
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
    model: Model,
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
    if let Some(choices) = choices {
        return Err(target.one_answer(choices));
    }
    lose(
        &[seed, frequency_penalty, presence_penalty, logit_bias],
        out,
    );
    lose(&[metadata, modalities, audio], out);
    lose(&[verbosity, cache_key, cache_retention], out);
    lose(&[logprobs], out);
    lose(&[store], out);

    let default = target
        .quirks
        .default_max_tokens
        .unwrap_or(model.max_tokens());
    let most = max_tokens
        .as_ref()
        .map_or(default, |given| given.value.max(1));
    call.count("max_tokens", most);
    let form = form.as_ref();
    let is_native = form.is_some_and(|form| has_form(model, &form.value));
    let thinks = reasoning
        .as_ref()
        .is_some_and(|it| thinking::wants(&it.value));
    let form_tool = form.filter(|_| !is_native && !thinks && request.tools.is_empty());
    let thinking = thinking::Plan::of(request, model, most, form_tool.is_some(), &mut out.losses);
    thinking.write(call);
    let format = form.filter(|_| is_native).map(|form| &form.value);
    output_config(call, thinking.effort, format);
    if let (Some(form), false, None) = (form, is_native, form_tool) {
        out.losses.dropped(form.path);
    }
    let refused = model.samples_its_way() || thinking.is_on();
    let both = model.samples_one_way() && temperature.is_some();
    sample(call, "temperature", temperature, refused, out);
    sample(call, "top_p", top_p, refused || both, out);
    sample(call, "top_k", top_k, refused, out);
    write_stop(call, stop, out);
    if let Some(user) = user {
        let mut metadata = call.object("metadata");
        metadata.said("user_id", &user.value);
        metadata.end();
    }
    write_tier(call, service_tier, out);
    match form_tool {
        Some(form) => write_form_tool(call, &form.value, out),
        None => {
            write_tools(call, request, target, model, out);
            choose(call, request, tool_choice, parallel_tools, out);
        }
    }
    Ok(())
}

/// What nobody here knows.
fn lose<T>(settings: &[&Setting<T>], out: &mut Outgoing) {
    let given = settings.iter().filter_map(|setting| setting.as_ref());
    given.for_each(|given| out.losses.dropped(given.path));
}

/// Writes a sampling parameter, unless the model refuses it.
fn sample(
    call: &mut ObjectWriter<'_>,
    name: &str,
    given: &Setting<Json<'_>>,
    refused: bool,
    out: &mut Outgoing,
) {
    let Some(given) = given else { return };
    let value = given.value.as_f64().unwrap_or(1.0);
    if refused {
        // 1 is what it is where nobody sets it.
        if value != 1.0 || name == "top_k" {
            out.losses.dropped(given.path);
        }
    } else if name == "temperature" && value > 1.0 {
        let how = "was lowered to 1, the most this provider takes";
        out.losses.changed(given.path, how);
        call.raw(name, "1");
    } else {
        call.raw(name, given.value.as_str());
    }
}

fn write_stop(call: &mut ObjectWriter<'_>, stop: &Setting<Vec<Text<'_>>>, out: &mut Outgoing) {
    let Some(stop) = stop else { return };
    let texts: Vec<_> = stop.value.iter().filter(|text| !text.is_blank()).collect();
    if texts.len() < stop.value.len() {
        let how = "was sent without its texts of white space, which this provider refuses";
        out.losses.changed(stop.path, how);
    }
    if !texts.is_empty() {
        let mut list = call.list("stop_sequences");
        texts.into_iter().for_each(|text| text.write(list.next()));
        list.end();
    }
}

fn write_tier(call: &mut ObjectWriter<'_>, tier: &Setting<Tier<'_>>, out: &mut Outgoing) {
    let Some(tier) = tier else { return };
    match &tier.value {
        Tier::Auto => drop(call.text("service_tier", "auto")),
        Tier::Standard => drop(call.text("service_tier", "standard_only")),
        Tier::Other(_) => out.losses.dropped(tier.path),
    }
}

fn choose(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    choice: &Setting<ToolChoice<'_>>,
    parallel: &Setting<bool>,
    out: &mut Outgoing,
) {
    let alone = parallel.as_ref().is_some_and(|given| !given.value);
    match choice {
        Some(given) if request.tools.is_empty() && given.value != ToolChoice::None => {
            out.losses.dropped(given.path);
        }
        Some(given) => write_choice(call, &given.value, alone),
        None if alone && !request.tools.is_empty() => {
            write_choice(call, &ToolChoice::Auto, true);
        }
        None => {}
    }
}

fn has_form(model: Model, form: &Form<'_>) -> bool {
    model.has_forms() && matches!(form, Form::Schema { .. })
}

fn output_config(call: &mut ObjectWriter<'_>, effort: Option<&str>, form: Option<&Form<'_>>) {
    if effort.is_none() && form.is_none() {
        return;
    }
    let mut config = call.object("output_config");
    if let Some(effort) = effort {
        config.text("effort", effort);
    }
    if let Some(Form::Schema { schema, .. }) = form {
        let mut format = config.object("format");
        format
            .text("type", "json_schema")
            .raw("schema", schema.as_str());
        format.end();
    }
    config.end();
}

/// The model must call a tool that takes the answer: the way to a form for
/// models that know no other.
fn write_form_tool(call: &mut ObjectWriter<'_>, form: &Form<'_>, out: &mut Outgoing) {
    let schema = match form {
        Form::Schema { schema, .. } => schema.as_str(),
        Form::Object => r#"{"type":"object","additionalProperties":true}"#,
    };
    let mut tools = call.list("tools");
    let mut tool = tools.object();
    tool.text("name", FORM_TOOL)
        .text(
            "description",
            "Gives the answer in the form that is asked for.",
        )
        .raw("input_schema", schema);
    tool.end();
    tools.end();
    write_choice(call, &ToolChoice::Named(Text::plain(FORM_TOOL)), true);
    out.form_tool = true;
}

fn write_choice(call: &mut ObjectWriter<'_>, choice: &ToolChoice<'_>, alone: bool) {
    let mut object = call.object("tool_choice");
    match choice {
        ToolChoice::Auto => object.text("type", "auto"),
        ToolChoice::None => object.text("type", "none"),
        ToolChoice::Required => object.text("type", "any"),
        ToolChoice::Named(name) => object
            .text("type", "tool")
            .said("name", &ids::fit(name, LONGEST_NAME)),
    };
    if alone && *choice != ToolChoice::None {
        object.flag("disable_parallel_tool_use", true);
    }
    object.end();
}

fn write_tools(
    call: &mut ObjectWriter<'_>,
    request: &Request<'_>,
    target: &Target<'_>,
    model: Model,
    out: &mut Outgoing,
) {
    let is_known = |tool: &&Tool<'_>| !matches!(tool.kind, ToolKind::Hosted(_));
    for tool in request.tools.iter().filter(|tool| !is_known(tool)) {
        out.losses.dropped(tool.at);
    }
    let last = request.tools.iter().filter(is_known).count();
    if last == 0 {
        return;
    }
    let marks = target.marks_cache && !request.is_marked();
    let mut tools = call.list("tools");
    for (index, tool) in request.tools.iter().filter(is_known).enumerate() {
        let mark = (marks && index + 1 == last).then_some(CacheMark { for_an_hour: false });
        write_tool(&mut tools, tool, tool.cache.or(mark), model, out);
    }
    tools.end();
}

fn write_tool(
    tools: &mut ListWriter<'_>,
    tool: &Tool<'_>,
    cache: Option<CacheMark>,
    model: Model,
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
            let parameters = parameters.as_ref().map_or(NO_PARAMETERS, Json::as_str);
            object
                .said("name", &out.tool_name(name, LONGEST_NAME))
                .said_if("description", description.as_ref())
                .raw("input_schema", parameters);
            match strict {
                Some(true) if model.has_forms() => drop(object.flag("strict", true)),
                Some(true) => out.losses.dropped(format_args!("{}.strict", tool.at)),
                _ => {}
            }
        }
        ToolKind::Custom {
            name,
            description,
            format,
        } => {
            object
                .said("name", &out.tool_name(name, LONGEST_NAME))
                .said_if("description", description.as_ref())
                .raw("input_schema", FREE_TEXT);
            if format.is_some() {
                out.losses.dropped(format_args!("{}.format", tool.at));
            }
            out.free_text_tools.push(name.resolved().into_owned());
        }
        ToolKind::WebSearch => {
            object
                .text("type", "web_search_20250305")
                .text("name", "web_search");
        }
        ToolKind::Hosted(_) => {}
    }
    write_mark(&mut object, cache);
    object.end();
}

/// Writes `cache_control`.
fn write_mark(block: &mut ObjectWriter<'_>, cache: Option<CacheMark>) {
    let Some(cache) = cache else { return };
    let mut mark = block.object("cache_control");
    mark.text("type", "ephemeral");
    if cache.for_an_hour {
        mark.text("ttl", "1h");
    }
    mark.end();
}
