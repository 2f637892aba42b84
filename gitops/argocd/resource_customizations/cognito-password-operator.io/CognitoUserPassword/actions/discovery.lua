local suspended = obj.spec.suspend == true
local deleted = obj.metadata.deletionTimestamp ~= nil

local actions = {}
-- The operator answers no request while the resource is suspended.
actions["set"] = {
  ["disabled"] = suspended or deleted,
  ["displayName"] = "Set the password now",
  ["iconClass"] = "fa fa-fw fa-rotate-right",
}
actions["suspend"] = {
  ["disabled"] = suspended or deleted,
  ["displayName"] = "Suspend",
  ["iconClass"] = "fa fa-fw fa-pause",
  ["params"] = {
    { ["name"] = "reason" },
  },
}
actions["resume"] = {
  ["disabled"] = not suspended or deleted,
  ["displayName"] = "Resume",
  ["iconClass"] = "fa fa-fw fa-play",
}
return actions
