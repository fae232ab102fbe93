"""The transfer grid: every source is transferred to every target, and every transferability metric is put to the test.

The protocol is PANDA's (Zhong et al. 2022, arXiv 2208.10160): a metric is as good as the rank correlation of its scores
with the performance of the transferred prompts after their first epoch.
"""
