-- Merge everything to its end, so that the number of rows no longer changes by itself, here or after a restore.
OPTIMIZE TABLE runs FINAL;
OPTIMIZE TABLE runs_key_value FINAL;
OPTIMIZE TABLE run_stats_hourly FINAL;
OPTIMIZE TABLE errors_daily FINAL;
OPTIMIZE TABLE feedbacks FINAL;
OPTIMIZE TABLE sessions FINAL;
OPTIMIZE TABLE payloads FINAL;
OPTIMIZE TABLE `trace-links` FINAL;
OPTIMIZE TABLE tenants FINAL;
OPTIMIZE TABLE model_prices FINAL;
OPTIMIZE TABLE annotation_queue FINAL;
SYSTEM RELOAD DICTIONARY tenants_dictionary;
