-- Redis' replication id, which is another one after a restart or a promotion; '' where Redis doesn't tell it.
local function replication_id()
  return redis.call('INFO', 'replication'):match('master_replid:(%w+)') or ''
end
