"""What several commands share: settings and gateway, options, times, tables, prompts."""
