"""Bedrock: Converse, Nova, and the other model families behind InvokeModel."""
