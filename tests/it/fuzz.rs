//! Runs every fuzz body over mutated seeds, with a fixed seed of its own, so
//! that what cargo-fuzz does for hours happens for a moment in every run.
//!
//! `NOWAIT_FUZZ_ITERATIONS` sets how often each body runs.

/// A fuzz body's name, itself, and the inputs to start from.
type Target = (&'static str, fn(&[u8]), &'static [&'static [u8]]);

const TARGETS: &[Target] = &[
    (
        "frames",
        nowait::sse::fuzz_framer,
        &[
            b"\xff\x03\x01\x08\x02\x0d\x01\x05\x04data: a\n\nevent: x\r\ndata: b\r\n\r\n: c\n\ndata: d\r\r",
            b"\x09\x01\x02\x03\x04\x05\x06\x07\x08data: longer than the limit\n\ndata: b\n\n\xEF\xBB\xBF",
        ],
    ),
    (
        "peek",
        nowait::dialect::peek::fuzz_peek,
        &[
            b"\x04name{\"model\":\"gpt\\u002d4o\",\"stream\":true,\"stream_options\":{\"include_usage\":false},\"messages\":[{\"role\":\"user\",\"content\":\"h\xc3\xa9\"}]}",
            b"\x02\"\\{ \"stream\" : null , \"a\":[1.5e3,{}],\"model\":\"m\"}",
            b"\x00{\"stream_options\":{},\"model\":\"m\"}",
        ],
    ),
    (
        "scan",
        nowait::dialect::fuzz_scan,
        &[
            br#"{"a":[-0.5e+3,{"b\u00e9\ud83d\ude00":null},"x\"y\\"],"c":{},"d":[],"e": true}"#,
            br#" [ false , 10 , "a text that is longer than a block of thirty-two bytes, \n and one more block" ] "#,
            br#""\ud800\b\f\r\t\/""#,
            b"{\"\xf0\x9f\x98\x80\":[[[[1,2],[{}]]],0]}\r\n",
        ],
    ),
    (
        "canonical",
        nowait::dialect::canonical::fuzz_canonical,
        &[
            b"{\"a\":[1,2.50e1],\"b\":\"x\\n\",\"ab\":null}\0{ \"b\":\"\\u0078\\n\",\"ab\":null,\"a\":[1.0,25]}",
            b"[0,-0.0,10e-1,1,true]\0[-0,0e7,1,0.1e1,true]",
            b"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"input\":[[1],[2]]}\0{}",
        ],
    ),
    (
        "sharing",
        nowait::dialect::sharing::fuzz_sharing,
        &[
            b"\x00{\"temperature\":0.0,\"tools\":[{\"type\":\"function\"}],\"store\":false}",
            b"\x01{\"temperature\":-0e1,\"store\":false,\"input\":[{\"role\":\"user\"},{\"id\":\"m\"}]}",
            b"\x04{\"tools\":[{\"name\":\"f\"},{\"type\":\"bash_1\"}],\"mcp_servers\":[]}",
        ],
    ),
    (
        "watch",
        nowait::dialect::watch::fuzz_watch,
        &[
            b"\x00data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}],\"usage\":null}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{\"}}]},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
            b"\x00data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}],\"obfuscation\":\"x\"}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":null}],\"obfuscation\":\"\"}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"c\"},\"finish_reason\":null}],\"obfuscation\":\"1\"  }\n\n",
            b"\x01event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\nevent: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":1}}}\n\n",
            b"\x04event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":1}}}\n\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"a\"}}\n\nevent: message_stop\ndata: {}\n\n",
        ],
    ),
    (
        "generate",
        nowait::dialect::generate::fuzz_generate,
        &[
            b"\x00{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}",
            b"\x00data: {\"choices\":[{\"delta\":{\"content\":\"a\\n\"},\"finish_reason\":null}]}\n\ndata: [DONE]\n\n",
            b"\x01{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"stop_reason\":\"end_turn\"}",
            b"\x01data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
            b"\x01[{\"error\":{\"code\":429,\"message\":\"no\",\"status\":\"X\"}}]",
        ],
    ),
    (
        "answer",
        nowait::dialect::answer::fuzz_answer,
        &[
            b"\x00{\"id\":\"c\",\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
            b"\x01{\"status\":\"completed\",\"output\":[{\"type\":\"function_call\"}],\"usage\":{\"input_tokens\":1}, \"x\":{}}",
            b"\x05{\"input_tokens\":12}",
        ],
    ),
    (
        "h1",
        nowait::upstream::fuzz_answer,
        &[
            b"\x00\x01\x02\x03\x04\x05\x06\x07\x08HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nB;x=y\r\n01234567890\r\n0\r\nx-sum: 7\r\n\r\n",
            b"\x00\x05\x01\x07\x20\x01\x01\x09\x03HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            b"\x03\x40\x40\x40\x40\x40\x40\x40\x40HTTP/1.0 404 Not Found\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nuntil the end",
        ],
    ),
    (
        "requests",
        nowait::server::fuzz_requests,
        &[
            b"\x01\x02\x03\x04\x05\x06\x07\x08POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: a.test:80\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET http://b.test HTTP/1.1\r\nhost: b.test\r\n\r\n",
            b"\x05\x01\x07\x20\x01\x01\x09\x03\r\nPUT /files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n5\r\nhello\r\nB;x=y\r\n01234567890\r\n0\r\nx-sum: 7\r\n\r\nOPTIONS * HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n",
            b"\x40\x40\x40\x40\x40\x40\x40\x40POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        ],
    ),
    (
        "fold",
        nowait::dialect::fold::fuzz_fold,
        &[
            b"\x00data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},\"logprobs\":{\"content\":[{\"token\":\"a\"}]},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n",
            b"\x00data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"a\"}]}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n",
            b"\x02data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"logprobs\":{\"tokens\":[\"a\"]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
            b"\x01event: response.created\ndata: {}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[]}}\n\n",
            b"\x04event: message_start\ndata: {\"message\":{\"content\":[],\"usage\":{\"input_tokens\":1}}}\n\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"input\":{}}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"partial_json\":\"{}\",\"citation\":{},\"text\":\"a\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"x\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {}\n\n",
        ],
    ),
    (
        "unfold",
        nowait::dialect::unfold::fuzz_unfold,
        &[
            b"\x80{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\",\"annotations\":[],\"tool_calls\":[{\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}],\"function_call\":{\"arguments\":\"{}\"}},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{}}",
            b"\x02{\"choices\":[{\"text\":\"a\",\n\"logprobs\":{},\"finish_reason\":\"stop\"}]}",
            b"\x01{\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[{}]}]},{\"type\":\"reasoning\",\"summary\":[{\"text\":\"s\"}]},{\"type\":\"function_call\",\"arguments\":\"{}\"}]}",
            b"\x04{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"citations\":[{}]},{\"type\":\"tool_use\",\"input\":{\"a\":1}},{\"type\":\"thinking\",\"thinking\":\"b\",\"signature\":\"s\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}",
        ],
    ),
    (
        "embeddings",
        nowait::dialect::embeddings::fuzz_embeddings,
        &[
            b"{\"model\":\"m\",\"input\":[\"a\",\"b\\u0020\"]}\x00{\"object\":\"list\",\"data\":[{\"index\":1,\"embedding\":[0.1,-2e-3]}, {\"index\":0,\"embedding\":\"AAA=\"}],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}",
            b"{\"input\":[1,2,3]}\x00{\"usage\":{\"d\":{\"n\":3},\"cost\":0.5},\n\"data\":[\n {\"index\": 0}\n]}",
            b"{\"input\":\"h\xc3\xa9\"}\x00{\"data\":[{\"embedding\":[],\"index\":0}]}",
        ],
    ),
    (
        "replies",
        nowait::cache::fuzz_replies,
        &[
            b"\x07$3\r\nabc\r\n:-2\r\n$0\r\n\r\n+OK\r\n-WRONGTYPE no\r\n$-1\r\n:12\r\n",
            b"\x0e$20\r\n0123456789\r\n12345678\r\n:9223372036854775807\r\n",
        ],
    ),
    (
        "translate_requests",
        nowait::dialect::translate::fuzz_requests,
        &[
            b"\x04{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"a\"},{\"role\":\"user\",\"name\":\"u\",\"content\":[{\"type\":\"text\",\"text\":\"b\\n\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\",\"detail\":\"low\"}},{\"type\":\"file\",\"file\":{\"filename\":\"f\",\"file_data\":\"data:application/pdf;base64,AA==\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA==\",\"format\":\"wav\"}}]},{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"t\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\",\"data\":\"nowait:openai:redacted:2:rsx\"}],\"tool_calls\":[{\"id\":\"c.1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},\"extra_content\":{\"google\":{\"thought_signature\":\"g\"}}},{\"id\":\"c2\",\"type\":\"custom\",\"custom\":{\"name\":\"t\",\"input\":\"x\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c.1\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}]},{\"role\":\"system\",\"content\":\"mid\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"},\"strict\":true}},{\"type\":\"custom\",\"custom\":{\"name\":\"t\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{}}},\"reasoning_effort\":\"high\",\"max_completion_tokens\":5000,\"temperature\":1.5,\"stop\":[\"x\",\" \"],\"logprobs\":true,\"top_logprobs\":2,\"n\":1,\"stream\":true,\"service_tier\":\"flex\",\"x\":[1]}",
            b"\xa4{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"a\"},{\"role\":\"user\",\"name\":\"u\",\"content\":[{\"type\":\"text\",\"text\":\"b\\n\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\",\"detail\":\"low\"}},{\"type\":\"file\",\"file\":{\"filename\":\"f\",\"file_data\":\"data:application/pdf;base64,AA==\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA==\",\"format\":\"wav\"}}]},{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"t\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\",\"data\":\"nowait:openai:redacted:2:rsx\"}],\"tool_calls\":[{\"id\":\"c.1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},\"extra_content\":{\"google\":{\"thought_signature\":\"g\"}}},{\"id\":\"c2\",\"type\":\"custom\",\"custom\":{\"name\":\"t\",\"input\":\"x\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c.1\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}]},{\"role\":\"system\",\"content\":\"mid\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"},\"strict\":true}},{\"type\":\"custom\",\"custom\":{\"name\":\"t\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{}}},\"reasoning_effort\":\"high\",\"max_completion_tokens\":5000,\"temperature\":1.5,\"stop\":[\"x\",\" \"],\"logprobs\":true,\"top_logprobs\":2,\"n\":1,\"stream\":true,\"service_tier\":\"flex\",\"x\":[1]}",
            b"\x00{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"a\"},{\"role\":\"user\",\"name\":\"u\",\"content\":[{\"type\":\"text\",\"text\":\"b\\n\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\",\"detail\":\"low\"}},{\"type\":\"file\",\"file\":{\"filename\":\"f\",\"file_data\":\"data:application/pdf;base64,AA==\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA==\",\"format\":\"wav\"}}]},{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"t\",\"thinking_blocks\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\",\"data\":\"nowait:openai:redacted:2:rsx\"}],\"tool_calls\":[{\"id\":\"c.1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},\"extra_content\":{\"google\":{\"thought_signature\":\"g\"}}},{\"id\":\"c2\",\"type\":\"custom\",\"custom\":{\"name\":\"t\",\"input\":\"x\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c.1\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}]},{\"role\":\"system\",\"content\":\"mid\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"},\"strict\":true}},{\"type\":\"custom\",\"custom\":{\"name\":\"t\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"parallel_tool_calls\":false,\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{}}},\"reasoning_effort\":\"high\",\"max_completion_tokens\":5000,\"temperature\":1.5,\"stop\":[\"x\",\" \"],\"logprobs\":true,\"top_logprobs\":2,\"n\":1,\"stream\":true,\"service_tier\":\"flex\",\"x\":[1]}",
            b"\x01{\"model\":\"m\",\"max_tokens\":3000,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"d\"},\"title\":\"t\"},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"http://x/\"}}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\",\"data\":\"nowait:gemini:call:1:cS\"},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":[]}},{\"type\":\"server_tool_use\",\"id\":\"z\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"},{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"is_error\":true,\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AA==\"}}]}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{}},{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},\"output_config\":{\"effort\":\"max\",\"format\":{\"type\":\"json_schema\",\"schema\":{}}},\"metadata\":{\"user_id\":\"u\"},\"stop_sequences\":[\"a\"],\"temperature\":0.5,\"top_k\":4}",
            b"\x05{\"model\":\"m\",\"max_tokens\":3000,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"d\"},\"title\":\"t\"},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"http://x/\"}}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\",\"data\":\"nowait:gemini:call:1:cS\"},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":[]}},{\"type\":\"server_tool_use\",\"id\":\"z\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"},{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"is_error\":true,\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AA==\"}}]}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{}},{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},\"output_config\":{\"effort\":\"max\",\"format\":{\"type\":\"json_schema\",\"schema\":{}}},\"metadata\":{\"user_id\":\"u\"},\"stop_sequences\":[\"a\"],\"temperature\":0.5,\"top_k\":4}",
            b"\x08{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"b\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x.y/z.png\"}}]},{\"role\":\"assistant\",\"thinking_blocks\":[{\"type\":\"redacted_thinking\",\"data\":\"nowait:gemini:redacted:0:c2ln\"}],\"content\":\"c\",\"tool_calls\":[{\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"9\",\"arguments\":\"[1]\"},\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}]},{\"role\":\"tool\",\"tool_call_id\":\"t\",\"content\":\"r\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"9\",\"strict\":true}},{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}],\"n\":2,\"logprobs\":true,\"metadata\":{\"a\":\"b\"},\"reasoning_effort\":\"none\",\"extra_body\":{\"google\":{\"thinking_config\":{},\"cached_content\":\"c\"}}}",
            b"\x02{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},{\"inline_data\":{\"mime_type\":\"image/png\",\"data\":\"AA==\"}},{\"fileData\":{\"fileUri\":\"gs://b\",\"mimeType\":\"application/pdf\"}}]},{\"role\":\"model\",\"parts\":[{\"text\":\"t\",\"thought\":true,\"thoughtSignature\":\"bm93YWl0Og==\"},{\"text\":\"b\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":[1]}},\"thoughtSignature\":\"c2ln\"},{\"executableCode\":{}}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":{\"x\":1}},\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}}]}}]}],\"systemInstruction\":{\"parts\":{\"text\":\"s\"}},\"tools\":[{\"functionDeclarations\":[{\"name\":\"3.f\",\"parameters\":{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\",\"nullable\":true}}}}]},{\"googleSearch\":{}}],\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}},\"generationConfig\":{\"stopSequences\":[\"z\"],\"responseMimeType\":\"application/json\",\"responseSchema\":{\"anyOf\":[{\"type\":\"NULL\"}]},\"thinkingConfig\":{\"thinkingBudget\":-1},\"responseModalities\":[\"TEXT\",\"IMAGE\"],\"candidateCount\":2},\"labels\":{\"a\":\"b\"},\"safetySettings\":[],\"cachedContent\":\"c\"}",
            b"\x0a{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"},{\"inline_data\":{\"mime_type\":\"image/png\",\"data\":\"AA==\"}},{\"fileData\":{\"fileUri\":\"gs://b\",\"mimeType\":\"application/pdf\"}}]},{\"role\":\"model\",\"parts\":[{\"text\":\"t\",\"thought\":true,\"thoughtSignature\":\"bm93YWl0Og==\"},{\"text\":\"b\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":[1]}},\"thoughtSignature\":\"c2ln\"},{\"executableCode\":{}}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":{\"x\":1}},\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}}]}}]}],\"systemInstruction\":{\"parts\":{\"text\":\"s\"}},\"tools\":[{\"functionDeclarations\":[{\"name\":\"3.f\",\"parameters\":{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\",\"nullable\":true}}}}]},{\"googleSearch\":{}}],\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"ANY\",\"allowedFunctionNames\":[\"f\"]}},\"generationConfig\":{\"stopSequences\":[\"z\"],\"responseMimeType\":\"application/json\",\"responseSchema\":{\"anyOf\":[{\"type\":\"NULL\"}]},\"thinkingConfig\":{\"thinkingBudget\":-1},\"responseModalities\":[\"TEXT\",\"IMAGE\"],\"candidateCount\":2},\"labels\":{\"a\":\"b\"},\"safetySettings\":[],\"cachedContent\":\"c\"}",
        ],
    ),
    (
        "translate_answers",
        nowait::dialect::translate::fuzz_answers,
        &[
            b"\x80{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\",\"refusal\":\"r\",\"reasoning_content\":\"t\",\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"u\",\"start_index\":0,\"end_index\":1}}],\"tool_calls\":[{\"id\":\"t\",\"function\":{\"name\":\"t\",\"arguments\":\"{\\\"input\\\":\\\"x\\\"}\"}},{\"id\":\"u\",\"function\":{\"name\":\"answer\",\"arguments\":\"{\"}}],\"images\":[{\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}]},\"logprobs\":{\"content\":[{\"token\":\"a\"}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":2}}}",
            b"\x01{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\",\"refusal\":\"r\",\"reasoning_content\":\"t\",\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"u\",\"start_index\":0,\"end_index\":1}}],\"tool_calls\":[{\"id\":\"t\",\"function\":{\"name\":\"t\",\"arguments\":\"{\\\"input\\\":\\\"x\\\"}\"}},{\"id\":\"u\",\"function\":{\"name\":\"answer\",\"arguments\":\"{\"}}],\"images\":[{\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}]},\"logprobs\":{\"content\":[{\"token\":\"a\"}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":2}}}",
            b"\x84{\"id\":\"m\",\"model\":\"m\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\\u00e9\\ud83d\",\"citations\":[{\"type\":\"char_location\",\"cited_text\":\"q\"}]},{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"t\",\"input\":{\"input\":\"x\"}},{\"type\":\"web_search_tool_result\",\"content\":[]}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"cache_read_input_tokens\":2,\"service_tier\":\"standard\"}}",
            b"\x05{\"id\":\"m\",\"model\":\"m\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\\u00e9\\ud83d\",\"citations\":[{\"type\":\"char_location\",\"cited_text\":\"q\"}]},{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"t\",\"input\":{\"input\":\"x\"}},{\"type\":\"web_search_tool_result\",\"content\":[]}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"cache_read_input_tokens\":2,\"service_tier\":\"standard\"}}",
            b"\x01{\"error\":{\"message\":\"no\",\"type\":\"x\",\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"retryDelay\":\"1e3s\"}]}}",
            b"\x08{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":\"\xc3\xa9\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"t\",\"args\":{\"input\":\"x\"}}},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}},{\"future\":1}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0,\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\",\"title\":\"v\"}}],\"groundingSupports\":[{\"segment\":{\"startIndex\":1,\"endIndex\":2},\"groundingChunkIndices\":[0]}]},\"citationMetadata\":{\"citations\":[{\"endIndex\":1,\"uri\":\"u\"}]},\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"a\",\"logProbability\":-1}],\"topCandidates\":[{\"candidates\":[]}]}},{\"index\":1,\"finishReason\":\"SAFETY\",\"finishMessage\":\"no\"}],\"usageMetadata\":{\"promptTokenCount\":5,\"thoughtsTokenCount\":2,\"serviceTier\":\"standard\"},\"modelVersion\":\"m\",\"responseId\":\"r\"}",
            b"\x89{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":\"\xc3\xa9\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"t\",\"args\":{\"input\":\"x\"}}},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}},{\"future\":1}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0,\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\",\"title\":\"v\"}}],\"groundingSupports\":[{\"segment\":{\"startIndex\":1,\"endIndex\":2},\"groundingChunkIndices\":[0]}]},\"citationMetadata\":{\"citations\":[{\"endIndex\":1,\"uri\":\"u\"}]},\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"a\",\"logProbability\":-1}],\"topCandidates\":[{\"candidates\":[]}]}},{\"index\":1,\"finishReason\":\"SAFETY\",\"finishMessage\":\"no\"}],\"usageMetadata\":{\"promptTokenCount\":5,\"thoughtsTokenCount\":2,\"serviceTier\":\"standard\"},\"modelVersion\":\"m\",\"responseId\":\"r\"}",
            b"\x0a{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true},{\"text\":\"\xc3\xa9\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"t\",\"args\":{\"input\":\"x\"}}},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AA==\"}},{\"future\":1}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0,\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\",\"title\":\"v\"}}],\"groundingSupports\":[{\"segment\":{\"startIndex\":1,\"endIndex\":2},\"groundingChunkIndices\":[0]}]},\"citationMetadata\":{\"citations\":[{\"endIndex\":1,\"uri\":\"u\"}]},\"logprobsResult\":{\"chosenCandidates\":[{\"token\":\"a\",\"logProbability\":-1}],\"topCandidates\":[{\"candidates\":[]}]}},{\"index\":1,\"finishReason\":\"SAFETY\",\"finishMessage\":\"no\"}],\"usageMetadata\":{\"promptTokenCount\":5,\"thoughtsTokenCount\":2,\"serviceTier\":\"standard\"},\"modelVersion\":\"m\",\"responseId\":\"r\"}",
            b"\x08{\"promptFeedback\":{\"blockReason\":\"SAFETY\",\"blockReasonMessage\":\"no\"}}",
        ],
    ),
    (
        "translate_streams",
        nowait::dialect::translate::fuzz_streams,
        &[
            b"\x01\x09\x02\x03\x80\x05\x06\x07\x08data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"a\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\\ud83d\"},\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":\"t\",\"arguments\":\"{\\\"input\\\":\"}},{\"index\":1,\"id\":\"j\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"x\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n",
            b"\x80\x09\x02\x03\x80\x05\x06\x07\x08data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"a\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\\ud83d\"},\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":\"t\",\"arguments\":\"{\\\"input\\\":\"}},{\"index\":1,\"id\":\"j\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"x\\\"}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n",
            b"\x84\x01\x02\x43\x04\x05\x06\x07\xf8event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"b\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"answer\",\"input\":{}}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
            b"\x05\x01\x02\x43\x04\x05\x06\x07\xf8event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"b\"}}\n\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"answer\",\"input\":{}}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
            b"\x08\x09\x02\x03\x80\x05\x06\x07\x08data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true}]}}],\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0]\",\"stringValue\":\"x\"}]}}]},\"finishReason\":\"STOP\",\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}]}}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n\r\n",
            b"\x89\x01\x02\x43\x04\x05\x06\x07\xf8data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true}]}}],\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0]\",\"stringValue\":\"x\"}]}}]},\"finishReason\":\"STOP\",\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}]}}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n\r\n",
            b"\x0a\x01\x02\x43\x04\x05\x06\x07\xf8data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"t\",\"thought\":true}]}}],\"modelVersion\":\"m\",\"responseId\":\"r\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\",\"thoughtSignature\":\"c2ln\"},{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0]\",\"stringValue\":\"x\"}]}}]},\"finishReason\":\"STOP\",\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"u\"}}]}}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n\r\n",
        ],
    ),
    (
        "errors",
        nowait::dialect::error::fuzz_error,
        &[b"model \"x\"\r\n\r\ndata: \xff\x00", b""],
    ),
];

#[test]
fn fuzz_bodies_hold_over_mutated_seeds() {
    let iterations = std::env::var("NOWAIT_FUZZ_ITERATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(4_000_u32);
    for (name, body, seeds) in TARGETS {
        let mut random = fastrand::Rng::with_seed(7);
        for seed in *seeds {
            body(seed);
        }
        for turn in 0..iterations {
            let input = mutated(seeds, &mut random);
            let outcome = std::panic::catch_unwind(|| body(&input));
            assert!(
                outcome.is_ok(),
                "{name}, turn {turn}: {:?}",
                String::from_utf8_lossy(&input)
            );
        }
    }
}

/// One of the seeds after a few edits: bytes changed, added, removed, parts
/// repeated, another seed's tail grafted on.
fn mutated(seeds: &[&[u8]], random: &mut fastrand::Rng) -> Vec<u8> {
    const TELLING: &[u8] = b"\"\\{}[]:,\n\r \x00\xff\xEF\xBB\xBFdatevn0159-.eu";
    let mut input = seeds[random.usize(..seeds.len())].to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=input.len());
        let to = random.usize(at..=input.len());
        match random.u8(..6) {
            0 if at < input.len() => input[at] = TELLING[random.usize(..TELLING.len())],
            1 => input.insert(at, TELLING[random.usize(..TELLING.len())]),
            2 => drop(input.drain(at..to.min(at + 8))),
            3 => {
                let part = input[at..to].to_vec();
                input.splice(at..at, part);
            }
            4 => {
                let other = seeds[random.usize(..seeds.len())];
                input.truncate(at);
                input.extend_from_slice(&other[at.min(other.len())..]);
            }
            _ if at < input.len() => input[at] = random.u8(..),
            _ => {}
        }
    }
    input.truncate(1 << 14);
    input
}
