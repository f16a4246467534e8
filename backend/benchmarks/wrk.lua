-- Sends requests in turn: behind `--` stand paths to GET, or `@`, a file and a key. Each line of the file is a request:
-- method, path, token and body, `-` for none; all have this Idempotency-Key. The last line is for measure.py: requests,
-- microseconds, p50 and p99 in microseconds, answers of status 400 and above, socket errors.
local requests, last = {}, 0

function init(arguments)
    if arguments[1] == "@" then
        read(arguments[2], arguments[3])
    else
        for number, path in ipairs(arguments) do requests[number] = wrk.format("GET", path) end
    end
end

function read(file, key)
    for line in io.lines(file) do
        local method, path, token, body = line:match("^(%S+) (%S+) (%S+) (.+)$")
        local headers = {["Connection"] = wrk.headers["Connection"], ["Idempotency-Key"] = key}
        if token ~= "-" then headers["Authorization"] = "Bearer " .. token end
        if body == "-" then body = nil else headers["Content-Type"] = "application/json" end
        requests[#requests + 1] = wrk.format(method, path, headers, body)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end

function done(summary, latency)
    local errors = summary.errors
    print("result", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout)
end
