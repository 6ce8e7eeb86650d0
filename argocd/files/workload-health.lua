-- Health of a run in a queue of Kueue. A run that waits is Progressing, and its Jobs decide whether it has failed.
-- Kueue tries such a run no more. A run that its job file suspends has another reason.
local GAVE_UP = "DeactivatedDueToRequeuingLimitExceeded"

local health = {}
local spec = obj.spec or {}
local status = obj.status or {}

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

local function message(name)
  return conditions[name] ~= nil and conditions[name].message or ""
end

local function waits()
  if is("Admitted") then
    return "stopping: " .. message("Evicted")
  end
  local why = message("QuotaReserved")
  if is("Evicted") then
    return "queued again: " .. (why ~= "" and why or message("Evicted"))
  end
  if is("WaitingForReplacementPods") then
    return "not in the queue yet: some of its pods are missing"
  end
  return "queued: " .. (why ~= "" and why or "Kueue has not answered yet")
end

if is("Finished") then
  health.status = "Healthy"
  health.message = "finished: " .. message("Finished")
elseif spec.active == false and is("Evicted") and conditions.Evicted.reason == GAVE_UP then
  health.status = "Degraded"
  health.message = "stopped, because its tasks were not ready in time: " .. message("Evicted")
elseif spec.active == false then
  health.status = "Suspended"
  health.message = is("Evicted") and message("Evicted") or "not in the queue"
elseif is("Admitted") and not is("Evicted") then
  health.status = "Healthy"
  health.message = "admitted"
else
  health.status = "Progressing"
  health.message = waits()
end
return health
